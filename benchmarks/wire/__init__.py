"""taskflow's SNS/SQS server beside the emulators that people use, interleaved in one run."""
