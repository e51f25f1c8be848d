"""One module per objective. A model of the configuration names its objective
(`ptacl.config.models`).
"""
