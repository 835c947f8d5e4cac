// The AWS SDK for JavaScript and sqs-consumer: publish, fan out, consume, fail, try again.

import { createRequire } from "node:module";
import { isDeepStrictEqual } from "node:util";
import { CreateTopicCommand, PublishBatchCommand, PublishCommand, SNSClient, SubscribeCommand } from "@aws-sdk/client-sns";
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  QueueDoesNotExist,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";

const LIMIT = 30_000; // milliseconds that a consumer has to see what it waits for
const endpoint = process.argv[2];
const place = { endpoint, region: "us-east-1", maxAttempts: 1 };
const sqs = new SQSClient(place);
const sns = new SNSClient(place);
let done = 0;
let differences = 0;

function same(step, found, wanted) {
  done += 1;
  const equal = isDeepStrictEqual(found, wanted);
  differences += equal ? 0 : 1;
  console.log(equal ? `ok ${step}` : `DIFFERS ${step}: ${JSON.stringify(found)} is not ${JSON.stringify(wanted)}`);
}

function version(name) {
  return `${name} ${createRequire(import.meta.url)(`./node_modules/${name}/package.json`).version}`;
}

async function queue(name, attributes = {}) {
  const made = await sqs.send(new CreateQueueCommand({ QueueName: `node-${name}`, Attributes: attributes }));
  return made.QueueUrl;
}

async function counts(url) {
  const names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
  const found = await sqs.send(new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: names }));
  return names.map((name) => found.Attributes[name]);
}

// Consume until `isDone` says so, or the time is up; rejects for an error that is not the handler's.
async function consume(options, isDone) {
  const consumer = Consumer.create({ sqs, waitTimeSeconds: 5, suppressFifoWarning: true, ...options });
  await new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error(`${options.queueUrl}: not done in time`)), LIMIT);
    const look = () => {
      if (isDone()) {
        clearTimeout(limit);
        resolve();
      }
    };
    consumer.on("response_processed", look);
    consumer.on("error", reject);
    consumer.on("processing_error", () => {});
    consumer.start();
  }).finally(() => consumer.stop({ abort: true }));
}

async function useSdk() {
  const url = await queue("sdk");
  const attributes = {
    kind: { DataType: "String", StringValue: "größe <1>" },
    blob: { DataType: "Binary", BinaryValue: Uint8Array.from([0, 255, 1]) },
  };
  const body = 'a <b> & "c" \r\n é 😀 ]]>';
  // The SDK itself compares the MD5 of what it sent and received.
  const sent = await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: body, MessageAttributes: attributes }));
  const ask = { QueueUrl: url, WaitTimeSeconds: 20, MessageAttributeNames: ["All"], MessageSystemAttributeNames: ["All"] };
  const [message] = (await sqs.send(new ReceiveMessageCommand(ask))).Messages;
  same("SendMessage, ReceiveMessage", [message.MessageId, message.Body], [sent.MessageId, body]);
  same("a binary attribute", [...message.MessageAttributes.blob.BinaryValue], [0, 255, 1]);
  same("system attributes", message.Attributes.ApproximateReceiveCount, "1");
  await sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: message.ReceiptHandle }));
  same("DeleteMessage", await counts(url), ["0", "0"]);
  const error = await sqs.send(new GetQueueUrlCommand({ QueueName: "none" })).catch((one) => one);
  same("an exception of the model", [error instanceof QueueDoesNotExist, error.name], [true, "QueueDoesNotExist"]);
  const stranger = new SQSClient({ ...place, credentials: { accessKeyId: "TFNONE", secretAccessKey: "wrong" } });
  const refused = await stranger.send(new GetQueueUrlCommand({ QueueName: "none" })).catch((one) => one);
  same("a stranger", refused.name, "InvalidClientTokenId");
}

async function fanOut() {
  const url = await queue("fan");
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: "node-fan" }));
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ["QueueArn"] }));
  await sns.send(new SubscribeCommand({
    TopicArn,
    Protocol: "sqs",
    Endpoint: Attributes.QueueArn,
    Attributes: { RawMessageDelivery: "true", FilterPolicy: JSON.stringify({ kind: ["big"] }) },
  }));
  const kind = (text) => ({ kind: { DataType: "String", StringValue: text } });
  await sns.send(new PublishCommand({ TopicArn, Message: "no", MessageAttributes: kind("small") }));
  await sns.send(new PublishCommand({ TopicArn, Message: "big é", MessageAttributes: kind("big") }));
  const entries = [1, 2, 3].map((n) => ({ Id: `n${n}`, Message: `big ${n}`, MessageAttributes: kind("big") }));
  const batch = await sns.send(new PublishBatchCommand({ TopicArn, PublishBatchRequestEntries: entries }));
  same("PublishBatch", batch.Successful.map((one) => one.Id), ["n1", "n2", "n3"]);
  const heard = [];
  const handleMessage = async (message) => {
    heard.push(`${message.Body} ${message.MessageAttributes.kind.StringValue}`);
    return message;
  };
  await consume({ queueUrl: url, messageAttributeNames: ["All"], handleMessage }, () => heard.length === 4);
  same("sqs-consumer: what was published", heard.sort(), ["big 1 big", "big 2 big", "big 3 big", "big é big"]);
  same("sqs-consumer: it was deleted", await counts(url), ["0", "0"]);
}

async function failAndTryAgain() {
  const url = await queue("fail");
  await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: "x" }));
  const tries = [];
  const handleMessage = async (message) => {
    tries.push(message.Attributes.ApproximateReceiveCount);
    if (tries.length < 3) throw new Error("not yet");
    return message;
  };
  const options = { messageSystemAttributeNames: ["ApproximateReceiveCount"], terminateVisibilityTimeout: true };
  await consume({ queueUrl: url, ...options, handleMessage }, () => tries.length === 3);
  same("sqs-consumer: a failed message comes again at once", tries, ["1", "2", "3"]);
  same("sqs-consumer: then it is deleted", await counts(url), ["0", "0"]);
}

async function extendLeases() {
  const url = await queue("slow", { VisibilityTimeout: "4" });
  await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: "x" }));
  let runs = 0;
  const handleMessage = async (message) => {
    runs += 1;
    await new Promise((resolve) => setTimeout(resolve, 6000)); // longer than the timeout
    return message;
  };
  await consume({ queueUrl: url, visibilityTimeout: 4, heartbeatInterval: 1, handleMessage }, () => runs > 0);
  same("sqs-consumer: a heartbeat keeps a message", [runs, await counts(url)], [1, ["0", "0"]]);
}

async function inBatches() {
  const url = await queue("batch.fifo", { FifoQueue: "true", ContentBasedDeduplication: "true" });
  for (const start of [0, 10, 20]) {
    const entries = Array.from({ length: 10 }, (_, n) => ({ Id: `n${n}`, MessageBody: `${start + n}`, MessageGroupId: "g" }));
    await sqs.send(new SendMessageBatchCommand({ QueueUrl: url, Entries: entries }));
  }
  const heard = [];
  const handleMessageBatch = async (messages) => {
    heard.push(...messages.map((message) => message.Body));
    return messages;
  };
  await consume({ queueUrl: url, batchSize: 10, handleMessageBatch }, () => heard.length >= 30);
  same("sqs-consumer: batches of a FIFO queue, in order", heard, Array.from({ length: 30 }, (_, n) => `${n}`));
  same("sqs-consumer: DeleteMessageBatch", await counts(url), ["0", "0"]);
}

console.log(`versions ${["sqs-consumer", "@aws-sdk/client-sqs", "@aws-sdk/client-sns"].map(version).join(", ")}, Node ${process.version}`);
for (const part of [useSdk, fanOut, failAndTryAgain, extendLeases, inBatches]) await part();
console.log(`${done} steps, ${differences} differ`);
process.exitCode = differences ? 1 : 0;
