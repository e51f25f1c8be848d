"""What is learned: an objective a module. An entry of the list of models names its own (`ptacl.config.models`)."""
