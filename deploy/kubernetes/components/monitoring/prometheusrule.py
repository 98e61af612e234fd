#!/usr/bin/env python3
"""Writes prometheusrule.yaml from deploy/prometheus/alerts.yaml: the same groups, as a resource of the Prometheus Operator."""

from pathlib import Path

HERE = Path(__file__).resolve().parent
ALERTS = HERE.parents[2] / "prometheus" / "alerts.yaml"
HEAD = """\
# Written by prometheusrule.py from deploy/prometheus/alerts.yaml; edit that, and run it again.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: cohortd
spec:
"""

lines = ALERTS.read_text().splitlines()
groups = lines[lines.index("groups:"):]
(HERE / "prometheusrule.yaml").write_text(HEAD + "".join(f"  {line}".rstrip() + "\n" for line in groups))
