"""What a topic, queue, task or id comes to: `taskflow explain`, as data and as text."""
