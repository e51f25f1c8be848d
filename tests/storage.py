"""Limits of lost files that no test of something else reaches."""

from ptacl import config

NO_LIMITS = config.dump(lost_of_shard=1.0, lost_of_cohort=1.0, vanished=1.0)
