"""What a person sees when a gate refuses something."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Violation:
    """One refused thing: where it is, what is wrong, where it belongs instead."""

    where: str  # "file:line", or a label
    what: str
    belongs: str


def report(gate, rule, violations, out):
    """Prints the violations of a gate; the number of them is returned."""
    unique = sorted(set(violations), key=lambda v: (v.where, v.what))
    for v in unique:
        print(f"{v.where}: {v.what}", file=out)
        print(f"    belongs: {v.belongs}", file=out)
    if unique:
        print(f"\nGate {gate} refused {len(unique)}. The rule: {rule}", file=out)
        print("docs/layering.md has the layers and the reasons.", file=out)
    return len(unique)
