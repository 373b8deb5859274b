"""The second tier of confinement: programs that are not ours and cannot be loaded into a template.

They run in bubblewrap or not at all; see docs/decisions/0021-external-programs.md.
"""

from activities.programs.confined import ConfinedPrograms, Program, ProgramLimits

__all__ = ["ConfinedPrograms", "Program", "ProgramLimits"]
