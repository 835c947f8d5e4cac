"""taskflow beside other task frameworks, on one machine, interleaved in one run."""
