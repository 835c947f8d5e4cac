"""The topology as a Mermaid flowchart: topics, queues, handlers, dead-letter queues.

https://mermaid.js.org/syntax/flowchart.html
"""

from taskflow.export.plan import Names, Plan, unique
from taskflow.limits import dlq_of


def mermaid(plan: Plan) -> str:
    """Names as in code; the prefix is AWS's affair."""
    names = Names()
    topics = {topic.topic: names.snake("topic", topic.topic) for topic in plan.topics}
    lines = ["flowchart LR"]
    for topic, node in topics.items():
        lines.append(f"    {node}([{_label(topic)}])")
    edges = []
    for queue in plan.queues:
        node, dlq = names.snake("queue", queue.queue), names.snake("dlq", queue.queue)
        lines.append(f"    {node}[({_label(queue.queue)})]")
        lines.append(f"    {dlq}[({_label(dlq_of(queue.queue))})]")
        for one in queue.subscriptions:
            arrow = f"-->|{_label(one.filter_policy)}|" if one.filter_policy else "-->"
            edges.append(f"    {topics[one.topic]} {arrow} {node}")
        for handler in unique(one.name for one in queue.subscriptions):
            runs = names.snake("handler", queue.queue, handler)
            lines.append(f"    {runs}[[{_label(handler)}]]")
            edges.append(f"    {node} --> {runs}")
        edges.append(
            f"    {node} -. {_label(f'after {queue.settings.max_receives} attempts')} .-> {dlq}"
        )
    return "\n".join([*lines, *edges]) + "\n"


def _label(text: str) -> str:
    """Quoted; Mermaid takes entities with `#` for what would end the quotes."""
    for character, entity in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(character, entity)
    return f'"{text}"'
