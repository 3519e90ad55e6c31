"""What kubectl lastnode reads from the environment."""

import kubectl_lastnode
from kubectl_lastnode.__main__ import cli


def test_other_programs_are_told_of_every_variable_that_it_reads() -> None:
    variables = {param.envvar: param.name for param in cli.params if param.envvar}
    assert {*variables.values()} == {*kubectl_lastnode.SETTINGS}
    assert all(variable == f"LASTNODE_{str(name).upper()}" for variable, name in variables.items())
