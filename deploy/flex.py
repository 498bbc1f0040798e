"""What a Flex Template starts: its parameters, given as flags, become those of `gradcam-audit run`."""

import sys
from collections.abc import Sequence

from pipeline.cli import main

# Parameters of ours; all others are Beam's options already.
OURS = {"output": "--output", "run_id": "--run-id", "resume": "--resume", "limit": "--limit"}


def command_of(flags: Sequence[str]) -> list[str]:
    """Flags as the launcher gives them, `--name=value` -> arguments of `gradcam-audit`."""
    config, rest = "/audit/config.yaml", []
    for flag in flags:
        name, _, value = flag.removeprefix("--").partition("=")
        if name == "config":
            config = value
        else:
            rest.append(f"{OURS[name]}={value}" if name in OURS else flag)
    return ["run", config, "--runner=DataflowRunner", *rest]


if __name__ == "__main__":
    sys.exit(main(command_of(sys.argv[1:])))
