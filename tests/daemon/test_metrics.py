"""The metrics page."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from daemon.metrics import Metric, MetricsPage, Sample


def test_every_type_is_read_back_as_it_was_given() -> None:
    """A parser of Prometheus' format finds name, type, help, labels and value of each sample."""
    given = [
        Metric("penstock_reports_total", "counter", "Reports taken.", (Sample(3, {"product": 'a"b\\c\nd'}),)),
        Metric("penstock_lag_records", "gauge", "Records behind.", (Sample(1.5),)),
        Metric(
            "penstock_wait_seconds",
            "histogram",
            "Time waited.",
            (Sample(2, {"le": "+Inf"}, "_bucket"), Sample(0.25, suffix="_sum"), Sample(2, suffix="_count")),
        ),
    ]
    text = MetricsPage(lambda: given).render().decode()
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert found["penstock_reports"].type == "counter"
    assert found["penstock_reports"].samples[0].labels == {"product": 'a"b\\c\nd'}
    assert found["penstock_lag_records"].documentation == "Records behind."
    assert [(one.name, one.value) for one in found["penstock_wait_seconds"].samples] == [
        ("penstock_wait_seconds_bucket", 2.0),
        ("penstock_wait_seconds_sum", 0.25),
        ("penstock_wait_seconds_count", 2.0),
    ]
    assert "process_cpu_seconds" in found


def test_numbers_are_those_of_the_moment() -> None:
    """The page asks anew each time."""
    values: Iterator[int] = iter(range(1, 10))
    page = MetricsPage(lambda: [Metric("penstock_x", "gauge", "x", (Sample(next(values)),))])
    first, second = page.render(), page.render()
    assert b"penstock_x 1.0\n" in first
    assert b"penstock_x 2.0\n" in second
