"""For nbval: threads that wait without spinning, and how long each chapter took."""

import os
from collections import defaultdict

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # kernels inherit it; spinning threads starve a busy machine


def pytest_terminal_summary(terminalreporter):
    seconds: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            path = getattr(report, "nodeid", "").split("::")[0]
            if path.endswith(".ipynb"):
                seconds[path] += getattr(report, "duration", 0.0)
    if seconds:
        terminalreporter.section("seconds a chapter")
        for path, spent in seconds.items():
            terminalreporter.write_line(f"{spent:6.1f}  {path}")
