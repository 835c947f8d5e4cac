from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class ParcelShipped(_message.Message):
    __slots__ = ("order_id", "tracking_number")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    TRACKING_NUMBER_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    tracking_number: str
    def __init__(self, order_id: _Optional[str] = ..., tracking_number: _Optional[str] = ...) -> None: ...

class OrderFulfilled(_message.Message):
    __slots__ = ("order_id", "tracking_number")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    TRACKING_NUMBER_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    tracking_number: str
    def __init__(self, order_id: _Optional[str] = ..., tracking_number: _Optional[str] = ...) -> None: ...
