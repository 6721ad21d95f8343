"""After nbval: how long each chapter took."""

from collections import defaultdict


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
