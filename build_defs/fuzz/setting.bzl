"""text_setting: a flag of the command line that is a text."""

text_setting = rule(
    implementation = lambda ctx: [],
    doc = "Read by transitions alone.",
    build_setting = config.string(flag = True),
)
