# The figures, tables and pages that people open.
TRAINED = [m for m in MODELS if is_trained(m)]
METRICS = "results/training/{model}-{seed}.csv"
# numbers, curves and counts of diseases
OUTCOMES = [
    "results/tables/outcomes.csv",
    "results/evaluation/outcomes.json",
    "results/cohort/outcomes.json",
]
OUTCOMES = OUTCOMES if CONFIG.outcomes.listed else []


rule flow_figure:
    input:
        "results/cohort/flow.json",
    output:
        report("results/cohort/flow.svg", caption="../report/flow.rst", category="Cohort"),
    log:
        "results/logs/flow_figure.log",
    benchmark:
        "results/benchmarks/flow_figure.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_version.digest("ptacl.report.flow"),
    shell:
        "python -m ptacl.report.flow --flow {input} --out {output} > {log} 2>&1"


rule tables:
    input:
        regression="results/tables/regression.csv",
        retrieval="results/tables/retrieval.csv",
        alignment="results/evaluation/alignment.json",
    output:
        summary="results/tables/summary.md",
        regression=report(
            "results/tables/regression.tex", caption="../report/regression.rst", category="Tables"
        ),
        retrieval=report(
            "results/tables/retrieval.tex", caption="../report/retrieval.rst", category="Tables"
        ),
    log:
        "results/logs/tables.log",
    benchmark:
        "results/benchmarks/tables.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_version.digest("ptacl.report.tables"),
    shell:
        "python -m ptacl.report.tables --regression {input.regression}"
        " --retrieval {input.retrieval} --alignment {input.alignment} --summary {output.summary}"
        " --out {output.regression} {output.retrieval} > {log} 2>&1"


if CONFIG.outcomes.listed:

    rule outcome_table:
        input:
            "results/tables/outcomes.csv",
        output:
            report(
                "results/tables/outcomes.tex",
                caption="../report/outcomes.rst",
                category="Tables",
            ),
        log:
            "results/logs/outcome_table.log",
        benchmark:
            "results/benchmarks/outcome_table.tsv"
        conda:
            "../../envs/environment.yaml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            code=code_version.digest("ptacl.report.outcome_table"),
        shell:
            "python -m ptacl.report.outcome_table --outcomes {input} --out {output} > {log} 2>&1"


rule page:
    input:
        flow="results/cohort/flow.json",
        flow_svg="results/cohort/flow.svg",
        regression="results/tables/regression.csv",
        retrieval="results/tables/retrieval.csv",
        alignment="results/evaluation/alignment.json",
        alignment_svg="results/figures/alignment.svg",
        labels="results/tables/labels.csv",
        outcomes=OUTCOMES,
        metrics=listed(METRICS, TRAINED),
        ceiling=f"{PRIVATE}/simulated.json" if SIMULATED else [],
    output:
        report("results/report.html", caption="../report/page.rst", category="Report"),
    log:
        "results/logs/page.log",
    benchmark:
        "results/benchmarks/page.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        config=schema.dump(CONFIG),
        code=code_version.digest("ptacl.report.page"),
        ceiling=f"--ceiling {PRIVATE}/simulated.json" if SIMULATED else "",
        outcomes=f"--outcomes {' '.join(OUTCOMES)}" if OUTCOMES else "",
        metrics=files(METRICS, TRAINED),
    shell:
        "python -m ptacl.report.page --config {params.config:q} --flow {input.flow}"
        " --flow-svg {input.flow_svg} --regression {input.regression}"
        " --retrieval {input.retrieval} --alignment {input.alignment}"
        " --alignment-svg {input.alignment_svg} --metrics {params.metrics:q} {params.ceiling}"
        " --labels {input.labels} {params.outcomes}"
        " --benchmarks results/benchmarks --out {output} > {log} 2>&1"
