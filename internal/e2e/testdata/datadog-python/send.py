"""Writes with DataDog's library for Python: python3 send.py URL SECONDS"""

import json
import sys

import datadog
from datadog.threadstats import ThreadStats

url, seconds = sys.argv[1], int(sys.argv[2])
datadog.initialize(api_key="unused", app_key="unused", api_host=url, host_name="db1", mute=False)
answers = [
    datadog.api.Metric.send(metric="py.load", points=[(seconds - 15, 0.5), (seconds, 0.75)], tags=["env:prod"], host="db1"),
    datadog.api.Metric.send(
        metrics=[
            {"metric": "py.requests", "points": (seconds, 17), "type": "count", "interval": 10, "tags": ["env:prod"], "host": "db1"},
            {"metric": "py.café", "points": (seconds, -2.5e-7), "host": "db2", "device": "sda"},
        ],
    ),
]
stats = ThreadStats(constant_tags=["env:test"])
stats.start(flush_in_thread=False, roll_up_interval=1)
stats.gauge("py.queue", 42, tags=["queue:mail"], timestamp=seconds)
stats.increment("py.hits", 3, timestamp=seconds)
stats.flush(seconds + 2)
try:
    datadog.api.Metric.send(metric="py.old", points=(5, 1))
except datadog.api.exceptions.DatadogException as e:
    answers.append({"refused": str(e)})
print(json.dumps(answers))
