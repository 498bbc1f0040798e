"""Beam's options as a run has them: like Beam's own, and quick to look at."""

import copy

from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    TypeOptions,
)

from pipeline.launch import RunOptions

FLAGS = ["--streaming", "--direct_num_workers=3", "--requirements_file=r.txt"]


def test_options_are_those_that_beam_makes_of_the_flags():
    assert PipelineOptions(FLAGS).get_all_options() == RunOptions(FLAGS).get_all_options()
    for view in (DirectOptions, SetupOptions, StandardOptions, TypeOptions):
        mine, beams = (options(FLAGS).view_as(view) for options in (RunOptions, PipelineOptions))
        assert beams.get_all_options() == mine.get_all_options()
        assert type(beams) is type(mine)


def test_a_view_is_made_once_and_what_is_set_in_it_is_set_everywhere():
    options = RunOptions(FLAGS)
    options.view_as(StandardOptions).runner = "FlinkRunner"

    assert options.view_as(StandardOptions) is options.view_as(StandardOptions)
    assert "FlinkRunner" == options.view_as(DirectOptions).view_as(StandardOptions).runner


def test_a_copy_has_values_of_its_own():
    options = RunOptions(FLAGS)
    options.view_as(DirectOptions).direct_num_workers = 4
    copied = copy.deepcopy(options)
    copied.view_as(DirectOptions).direct_num_workers = 5

    assert (4, 5) == tuple(each.view_as(DirectOptions).direct_num_workers for each in (options, copied))
