"""deploy/Dockerfile, stage by stage."""

import json

import dockerfile_parse
import project

PATH = project.TOP / "deploy/Dockerfile"


class Stage:
    """A stage with its own instructions, and the stage or image that it begins with."""

    def __init__(self, words):
        self.base, self.name = words.split()[0], words.split()[-1]
        self.instructions = []

    def all(self, stages):
        """Its instructions after those of the stages that it begins with."""
        before = stages[self.base].all(stages) if self.base in stages else []
        return before + self.instructions

    def last(self, stages, instruction):
        """The value of an instruction of which the last counts."""
        values = [value for kind, value in self.all(stages) if kind == instruction]
        return values[-1] if values else None

    def environment(self, stages):
        """Its variables."""
        pairs = [value.split("=", 1) for kind, value in self.all(stages) if kind == "ENV"]
        return {name: value.strip('"') for name, value in pairs}

    def command(self, stages, instruction):
        """The words of an instruction, which must be in the form without a shell."""
        value = self.last(stages, instruction)
        return json.loads(value[value.index("[") :])


def stages():
    """All stages by name, in order."""
    found = {}
    for step in dockerfile_parse.DockerfileParser(str(PATH)).structure:
        if step["instruction"] == "FROM":
            stage = Stage(step["value"])
            found[stage.name] = stage
        elif step["instruction"] != "COMMENT":
            stage.instructions.append((step["instruction"], step["value"]))
    return found
