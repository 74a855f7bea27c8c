"""What the pages share: background jobs, data and teachers in memory, controls, words and charts."""
