"""The version of this taskflow."""

VERSION = "0.1.0"
