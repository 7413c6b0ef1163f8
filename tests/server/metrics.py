"""Reads the metrics of a server with Prometheus' own parser, and prints each family."""

import sys
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

with urllib.request.urlopen(sys.argv[1]) as reply:
    text = reply.read().decode()

for family in text_string_to_metric_families(text):
    assert family.documentation, family.name
    assert family.samples, family.name
    print(family.type, family.name, family.samples[0].value if len(family.samples) == 1 else len(family.samples))
