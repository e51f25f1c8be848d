"""The numbers of the paper (UK Biobank), to show next to ours, and the rows of its tables.

Source: Selivanov, Müller, Turgut, Stolt-Ansó, Rückert, "Global and Local Contrastive Learning for
Joint Representations from Cardiac MRI and ECG", MICCAI 2025, arXiv 2506.20683, Tables 1 and 2, with
27,951 training and 5,991 test subjects. The paper gives no intervals. Its numbers come from another
cohort, so they do not test ours; they only show what to expect at that scale.
"""

from dataclasses import dataclass

SOURCE = (
    "Selivanov et al., MICCAI 2025, arXiv 2506.20683; UK Biobank, 27,951 training and 5,991 "
    "test subjects"
)
PHENOTYPES = ("LVEDV", "LVESV", "LVSV", "LVEF", "LVCO", "LVM", "RVEDV", "RVESV", "RVSV", "RVEF")


@dataclass(frozen=True)
class PaperRow:
    """A row of Table 2, with R² in the order of PHENOTYPES, None if the paper has no value."""

    input: str
    method: str
    evaluation: str
    r2: tuple[float | None, ...]
    note: str = ""

    def of(self, phenotype: str) -> float | None:
        """Return R² of a phenotype or of the mean, None if the paper does not have it."""
        if phenotype == "mean":
            return self.mean
        return self.r2[PHENOTYPES.index(phenotype)] if phenotype in PHENOTYPES else None

    @property
    def mean(self) -> float | None:
        """The mean over the phenotypes, None if one is missing."""
        known = [value for value in self.r2 if value is not None]
        return sum(known) / len(known) if len(known) == len(self.r2) else None


# LP linear probe, FN full fine-tuning, AP attention pooling.
REGRESSION = (
    PaperRow(
        "CMR",
        "Random init",
        "LP",
        (0.015, 0.017, 0.009, 0.008, 0.003, 0.021, 0.018, 0.020, 0.009, 0.007),
    ),
    PaperRow(
        "CMR",
        "SimCLR",
        "LP",
        (0.572, 0.612, 0.466, 0.513, 0.418, 0.628, 0.618, 0.681, 0.463, 0.520),
    ),
    PaperRow(
        "CMR", "MAE", "LP", (0.809, 0.772, 0.678, 0.489, 0.571, 0.824, 0.799, 0.784, 0.657, 0.492)
    ),
    PaperRow(
        "CMR",
        "Supervised",
        "FN",
        (0.814, 0.789, 0.665, 0.470, 0.536, 0.823, 0.801, 0.808, 0.623, 0.473),
    ),
    PaperRow(
        "ECG",
        "Random init",
        "LP",
        (
            -4.86e-5,
            -3.89e-5,
            -7.03e-5,
            -38.8e-5,
            -7.61e-5,
            18.3e-5,
            0.936e-5,
            3.61e-5,
            -9.66e-5,
            0.983e-5,
        ),
    ),
    PaperRow(
        "ECG",
        "SimCLR",
        "LP",
        (0.278, 0.261, 0.196, 0.085, 0.156, 0.343, 0.308, 0.317, 0.205, 0.130),
    ),
    PaperRow(
        "ECG", "MAE", "LP", (0.439, 0.425, 0.332, 0.218, 0.252, 0.524, 0.466, 0.481, 0.333, 0.254)
    ),
    PaperRow(
        "ECG",
        "Supervised",
        "FN",
        (0.458, 0.443, 0.333, 0.198, 0.252, 0.516, 0.481, 0.491, 0.340, 0.237),
    ),
    PaperRow(
        "ECG",
        "ECCL (Ding et al. 2024)",
        "FN",
        (0.372, 0.348, 0.270, 0.176, 0.212, 0.449, 0.397, 0.397, 0.281, 0.203),
        "R² as the square of the published correlation",
    ),
    PaperRow(
        "ECG",
        "CMAE (Radhakrishnan et al. 2023)",
        "LP",
        (0.451, 0.380, 0.316, 0.103, 0.281, 0.536, 0.490, 0.445, 0.320, 0.129),
        "trained on long-axis slices",
    ),
    PaperRow(
        "ECG",
        "MMCL (Turgut et al. 2025)",
        "FN + AP",
        (0.498, 0.497, 0.360, 0.245, None, 0.597, 0.527, 0.534, 0.375, 0.248),
        "trained on three short-axis slices",
    ),
    PaperRow(
        "ECG",
        "PTACL without single-modality pre-training",
        "LP",
        (0.359, 0.334, 0.256, 0.114, 0.187, 0.406, 0.381, 0.386, 0.253, 0.149),
    ),
    PaperRow(
        "ECG",
        "PTACL with CosSim++",
        "LP",
        (0.509, 0.496, 0.383, 0.252, 0.286, 0.614, 0.537, 0.553, 0.387, 0.295),
    ),
    PaperRow(
        "ECG",
        "Global",
        "LP",
        (0.507, 0.499, 0.377, 0.258, 0.281, 0.612, 0.534, 0.553, 0.380, 0.297),
    ),
    PaperRow(
        "ECG", "PTACL", "LP", (0.514, 0.500, 0.386, 0.255, 0.289, 0.616, 0.540, 0.557, 0.389, 0.299)
    ),
    PaperRow(
        "ECG",
        "PTACL",
        "FN + AP",
        (0.544, 0.537, 0.408, 0.283, 0.310, 0.645, 0.568, 0.582, 0.408, 0.315),
    ),
)

STATISTICS = ("P@1", "P@3", "P@5", "P@10", "P@15", "MnR", "MdR")

# Table 1, by method. Both models use the temperatures for retrieval of Sec. 4.3. The paper gives
# random retrieval only for k = 1 and 10. Ranks count from 1.
RETRIEVAL: dict[str, dict[str, tuple[float | None, ...]]] = {
    "Global": {
        "LVEDV": (0.492, 0.462, 0.445, 0.426, 0.416, 3.1, 2.0),
        "LVESV": (0.501, 0.469, 0.456, 0.438, 0.429, 3.0, 1.0),
        "LVSV": (0.458, 0.417, 0.404, 0.387, 0.380, 3.4, 2.0),
        "LVEF": (0.431, 0.392, 0.378, 0.355, 0.349, 3.9, 2.0),
        "LVCO": (0.439, 0.407, 0.391, 0.377, 0.368, 3.9, 2.0),
        "LVM": (0.547, 0.516, 0.498, 0.479, 0.471, 2.6, 1.0),
        "RVEDV": (0.500, 0.467, 0.450, 0.433, 0.426, 3.0, 2.0),
        "RVESV": (0.518, 0.485, 0.471, 0.455, 0.446, 2.8, 1.0),
        "RVSV": (0.458, 0.420, 0.403, 0.386, 0.380, 3.8, 2.0),
        "RVEF": (0.433, 0.397, 0.383, 0.370, 0.364, 4.3, 2.0),
    },
    "PTACL": {
        "LVEDV": (0.510, 0.463, 0.444, 0.427, 0.415, 2.9, 1.0),
        "LVESV": (0.524, 0.480, 0.461, 0.442, 0.432, 3.0, 1.0),
        "LVSV": (0.472, 0.423, 0.405, 0.388, 0.377, 3.2, 2.0),
        "LVEF": (0.436, 0.396, 0.377, 0.359, 0.351, 3.8, 2.0),
        "LVCO": (0.453, 0.417, 0.394, 0.378, 0.368, 3.6, 2.0),
        "LVM": (0.561, 0.522, 0.504, 0.486, 0.474, 2.6, 1.0),
        "RVEDV": (0.516, 0.477, 0.459, 0.441, 0.430, 2.8, 1.0),
        "RVESV": (0.531, 0.494, 0.476, 0.460, 0.451, 2.6, 1.0),
        "RVSV": (0.473, 0.428, 0.408, 0.390, 0.382, 3.7, 2.0),
        "RVEF": (0.443, 0.405, 0.390, 0.373, 0.365, 4.2, 2.0),
    },
    "Random": {
        "LVEDV": (0.291, None, None, 0.287, None, None, None),
        "LVESV": (0.303, None, None, 0.284, None, None, None),
        "LVSV": (0.294, None, None, 0.296, None, None, None),
        "LVEF": (0.278, None, None, 0.282, None, None, None),
        "LVCO": (0.295, None, None, 0.284, None, None, None),
        "LVM": (0.293, None, None, 0.294, None, None, None),
        "RVEDV": (0.280, None, None, 0.287, None, None, None),
        "RVESV": (0.290, None, None, 0.281, None, None, None),
        "RVSV": (0.285, None, None, 0.289, None, None, None),
        "RVEF": (0.288, None, None, 0.290, None, None, None),
    },
}


def retrieval(method: object, *, phenotype: str, statistic: str) -> float | None:
    """Return a number of Table 1, None if the paper does not have it.

    For the phenotype `mean`, it is the mean over the ten phenotypes.
    """
    if statistic not in STATISTICS or method not in RETRIEVAL:
        return None
    column = STATISTICS.index(statistic)
    if phenotype == "mean":
        values = [row[column] for row in RETRIEVAL[str(method)].values()]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if len(known) == len(values) else None
    row = RETRIEVAL[str(method)].get(phenotype)
    return None if row is None else row[column]
