"""A rule of the house that import-linter has no contract for: ideas stay pure.

Everything in a service is an idea or a port, unless it lies in a room that faces outside. An idea
reaches no driver, not even through another module; so a new file is under the rule without being listed.
"""

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class PureContract(Contract):
    """Modules that reach none of the drivers, whatever lies between.

    Options:
        packages: where the rule holds.
        outward: rooms of those packages that it leaves out.
        drivers: external packages out of reach.
        hands_off: external packages that may be reached through a module of ours, never imported.
    """

    packages = fields.ListField(subfield=fields.StringField())
    outward = fields.SetField(subfield=fields.StringField())
    drivers = fields.SetField(subfield=fields.StringField())
    hands_off = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - the linter's signature
        """Every chain of imports from an idea to a driver, the shortest each."""
        found = []
        drivers, hands_off = _words(self.drivers), _words(self.hands_off)
        for module in sorted(filter(self._holds_for, graph.modules)):
            reached = graph.find_upstream_modules(module) & drivers
            reached |= graph.find_modules_directly_imported_by(module) & hands_off
            found += [graph.find_shortest_chain(module, driver) for driver in sorted(reached)]
        return ContractCheck(kept=not found, metadata={"chains": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """The chains, one a line."""
        for chain in check.metadata["chains"]:
            output.print_error(" -> ".join(chain))

    def _holds_for(self, module: str) -> bool:
        for package in _words(self.packages):
            if module == package:
                return True
            if module.startswith(f"{package}."):
                return module.removeprefix(f"{package}.").split(".")[0] not in _words(self.outward)
        return False


def _words(option: Any) -> set[str]:
    """An option's value: the linter puts it where the class declares the field."""
    return set(option)
