"""What makes the lessons a graded course: feedback to learners, and source → notebook → release."""
