"""Computed properties that depend on others: after the end of the abstract of the talk
"concurrent.futures is here" (Andrew Dalke, EuroPython 2012), "promises in a dependency graph, where certain
computed properties are dependent on others". The talk's program is not printed; its field is chemistry, and so
is this one's: whoever asks for a property of a molecule gets it computed with all that it needs, each once, in
parallel, and whoever asks again gets it at once.

    python talk_properties.py [FORMULA...]
"""

import re
import sys
from collections import Counter

import manyhands

MASSES = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999, "S": 32.06, "Cl": 35.45}
VALENCES = {"H": 1, "C": 4, "N": 3, "O": 2, "S": 2, "Cl": 1}


def atoms(formula: str) -> Counter[str]:
    """How many there are of each element."""
    found: Counter[str] = Counter()
    for element, count in re.findall(r"([A-Z][a-z]?)(\d*)", formula):
        if element not in MASSES:
            raise ValueError(f"{element} in {formula} is no element known here")
        found[element] += int(count or 1)
    return found


def mass(atoms: Counter[str]) -> float:
    return sum(MASSES[element] * count for element, count in atoms.items())


def shares(atoms: Counter[str], mass: float) -> dict[str, float]:
    """What each element has of the mass, in per cent."""
    return {element: 100 * MASSES[element] * n / mass for element, n in atoms.items()}


def unsaturation(atoms: Counter[str]) -> int:
    """How many rings and double bonds there are, together."""
    return 1 + sum((VALENCES[element] - 2) * n for element, n in atoms.items()) // 2


def heavy_atoms(atoms: Counter[str]) -> int:
    return sum(n for element, n in atoms.items() if element != "H")


def rule_of_three(mass: float, heavy_atoms: int) -> bool:
    """Whether it is small enough to be a fragment of a drug."""
    return mass < 300 and heavy_atoms <= 20


def summary(shares: dict[str, float], unsaturation: int, rule_of_three: bool) -> str:
    parts = ", ".join(f"{share:.1f} % {element}" for element, share in sorted(shares.items()))
    size = "a fragment" if rule_of_three else "too large for a fragment"
    return f"{parts}; {unsaturation} rings or double bonds; {size}"


def molecule(executor: manyhands.ThreadPoolExecutor, formula: str) -> manyhands.Graph:
    """Its properties, none of which is computed yet."""
    properties = manyhands.Graph(executor)
    # What each needs is said by the names of its parameters, in any order.
    for function in (summary, rule_of_three, heavy_atoms, unsaturation, shares, mass, atoms):
        properties.computed(function)
    properties["formula"] = formula
    return properties


if __name__ == "__main__":
    formulas = sys.argv[1:] or ["C9H8O4", "C8H10N4O2", "C27H46O", "C2H6Xx"]
    with manyhands.ThreadPoolExecutor() as executor:
        for formula in formulas:
            properties = molecule(executor, formula)
            try:
                print(f"{formula}: {properties['mass']:.2f} g/mol")
                # The atoms and the mass are there already.
                print("  " + properties["summary"])
            except manyhands.GraphError as error:
                print(f"{formula}: {error}")

        caffeine = molecule(executor, "C8H10N4O2")
        before = caffeine["rule_of_three"]
        print("\nOf caffeine, this has been computed:", end=" ")
        print(", ".join(name for name in caffeine if caffeine.state(name) == "done"))
        caffeine["formula"] = "C7H8N4O2"
        print(f"Without a methyl group: {caffeine['mass']:.2f} g/mol")
