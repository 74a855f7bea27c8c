"""What makes the lessons a graded course: feedback to learners, releases, and a class's marks.

A check cell, from a learner's function to words:

checks → tasks → diagnose_… (one module for each lesson) → answers, reference, watched; capstone

A lesson, from its source to what students get:

build → bundle

A class, from what was handed in to marks and pages; ``grade`` leads through it:

collect (layouts, archives) → rebuild → judge → sandbox ⇄ runner (wire) → marks → by_hand → report (alike)

Nothing is imported here: the process that runs a student's code must not meet the tests.
"""
