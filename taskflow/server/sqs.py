"""SQS: the table of its operations."""

from taskflow.server.backend import Backend
from taskflow.server.sqs_moves import MoveActions
from taskflow.server.sqs_queues import QueueActions
from taskflow.server.sqs_receive import ReceiveActions
from taskflow.server.sqs_send import SendActions
from taskflow.server.sqs_settle import SettleActions
from taskflow.server.wire_call import Action


def sqs_actions(backend: Backend, moves: MoveActions) -> dict[tuple[str, str], Action]:
    """Every operation of SQS, by service and name."""
    queues, send = QueueActions(backend), SendActions(backend)
    receive, settle = ReceiveActions(backend), SettleActions(backend)
    table: dict[str, Action] = {
        "AddPermission": queues.add_permission,
        "CancelMessageMoveTask": moves.cancel_message_move_task,
        "ChangeMessageVisibility": settle.change_message_visibility,
        "ChangeMessageVisibilityBatch": settle.change_message_visibility_batch,
        "CreateQueue": queues.create_queue,
        "DeleteMessage": settle.delete_message,
        "DeleteMessageBatch": settle.delete_message_batch,
        "DeleteQueue": queues.delete_queue,
        "GetQueueAttributes": queues.get_queue_attributes,
        "GetQueueUrl": queues.get_queue_url,
        "ListDeadLetterSourceQueues": queues.list_dead_letter_source_queues,
        "ListMessageMoveTasks": moves.list_message_move_tasks,
        "ListQueueTags": queues.list_queue_tags,
        "ListQueues": queues.list_queues,
        "PurgeQueue": queues.purge_queue,
        "ReceiveMessage": receive.receive_message,
        "RemovePermission": queues.remove_permission,
        "SendMessage": send.send_message,
        "SendMessageBatch": send.send_message_batch,
        "SetQueueAttributes": queues.set_queue_attributes,
        "StartMessageMoveTask": moves.start_message_move_task,
        "TagQueue": queues.tag_queue,
        "UntagQueue": queues.untag_queue,
    }
    return {("sqs", name): action for name, action in table.items()}
