"""Which parameters a version of a route reads, and whether it must have the body for them."""

from __future__ import annotations

from actors.gateway_route.backends.data import bounded
from actors.gateway_route.backends.paging import paging_parameters
from actors.gateway_route.backends.topic import key_parameters
from actors.gateway_route.parameters.step import ParameterStep, inputs_as_parameters
from actors.gateway_route.published import Published
from actors.ports import ResultLimits


def parameter_step(published: Published, limits: ResultLimits) -> ParameterStep | None:
    """The step that reads and checks; None where nothing asks for parameters."""
    request, backend = published.route.request, published.backend
    declared = (*request.parameters, *inputs_as_parameters(published.inputs, request.parameters))
    data, topic = backend.data, backend.topic
    if data is not None and data.paging:
        declared += paging_parameters(declared, bounded(limits, data).rows)
    refuse = request.undeclared == "refuse"
    key = topic.key if topic is not None else None
    if not (declared or refuse or data is not None or (key is not None and key_parameters(key))):
        return None
    return ParameterStep(
        declared,
        reads_body=data is not None or (refuse and request.method not in {"GET", "HEAD"}),
        refuse_undeclared=refuse,
    )
