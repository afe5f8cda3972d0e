"""Greets whoever it is called with."""

from plugins.api import FunctionContext, function


@function
async def greet(data: dict[str, str], context: FunctionContext) -> dict[str, str]:
    """Answer a greeting; what is logged is kept with the run."""
    context.log("greets", name=data["name"])
    return {"greeting": f"hello, {data['name']}"}
