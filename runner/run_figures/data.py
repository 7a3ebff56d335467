"""The page of the data: classes, channels, examples, augmentations, doubtful images, copies and leakage."""

from runner.run_figures.subject import ALL, RunFigure, Subject, has_numbers


def draw(subject: Subject) -> bytes:
    """The page as `describe data` makes it, without the kinds of files, which would be read again.

    At the end of a training augmented images are left out too: compiling what makes them would delay the end.
    """
    from runner import inspecting

    data = inspecting.of_dataset(subject.dataset, repeats=subject.trained.experiment.data.repeats)
    found = inspecting.examined(data)
    experiment, ends = subject.trained.experiment, subject.course is not None
    return inspecting.page_of(found, data, experiment, with_changes=not ends).encode()


FIGURE = RunFigure(
    draw, "the page of the data: examples, augmentations, copies", suits=has_numbers, place="{name}.html", tasks=ALL
)
