import math

from ptacl.report import provenance


def test_jobs_of_a_rule_are_added_up(inputs):
    rules = {rule.name: rule for rule in provenance.wall_times(inputs / "benchmarks")}
    assert set(rules) == {"simulate", "prepare_ecg", "prepare_cmr", "train", "page"}
    ecg = rules["prepare_ecg"]
    assert (ecg.jobs, ecg.longest) == (2, 3.4) and math.isclose(ecg.seconds, 6.5)
    assert rules["prepare_cmr"].memory_mib == 900.1
    assert math.isnan(ecg.memory_mib) and math.isnan(
        rules["page"].memory_mib
    )  # too short to be measured
    seconds = [rule.seconds for rule in provenance.wall_times(inputs / "benchmarks")]
    assert seconds == sorted(seconds, reverse=True)


def test_broken_and_absent_benchmarks_are_left_out(tmp_path):
    (tmp_path / "empty.tsv").write_text("")
    (tmp_path / "head.tsv").write_text("s\th:m:s\tmax_rss\n")
    (tmp_path / "bytes.tsv").write_bytes(b"\xff\xfe\x00s\n\xff")
    (tmp_path / "other.tsv").write_text("a\tb\n1\t2\n")
    assert provenance.wall_times(tmp_path) == []
    assert provenance.wall_times(tmp_path / "absent") == []


def test_versions_name_what_is_installed():
    versions = dict(provenance.versions())
    assert versions["numpy"].split(".")[0] == "2" and "Python" in versions and "ptacl" in versions


def test_durations_in_words():
    assert [provenance.duration(s) for s in (0.04, 59.9, 61, 3599, 7620)] == [
        "0.0 s", "59.9 s", "1 min 01 s", "59 min 59 s", "2 h 07 min",
    ]  # fmt: skip
