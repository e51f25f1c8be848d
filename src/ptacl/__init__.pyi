from ptacl.gallery import Gallery as Gallery
from ptacl.inference import Model as Model
