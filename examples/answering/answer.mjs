// Answers an order from Node.js with Temporal's own SDK: npm install, then node answer.mjs order-1 approve-pen.
import { Client, Connection, WorkflowUpdateFailedError } from '@temporalio/client';

const [threadId, requestId] = process.argv.slice(2);
const connection = await Connection.connect({ address: process.env.TEMPORAL_ADDRESS ?? 'localhost:7233' });
const client = new Client({ connection, namespace: process.env.TEMPORAL_NAMESPACE ?? 'default' });
const thread = client.workflow.getHandle(threadId);

// What is asked, with the JSON Schema of the answer: enough to draw a form.
const [request] = await thread.query('pending_requests');
console.log(request.request, Object.keys(request.response_schema.properties));

// An update says at once whether the answer is taken.
try {
  await thread.executeUpdate('respond', { args: [{ request_id: requestId, response: { approved: 'perhaps' } }] });
} catch (error) {
  if (!(error instanceof WorkflowUpdateFailedError)) throw error;
  console.log(error.cause.details[0].errors);
}
const receipt = await thread.executeUpdate('respond', {
  args: [{ request_id: requestId, response: { approved: true }, responder: 'node' }],
});
console.log(receipt.queued);

// A signal would do as well: await thread.signal('respond', { request_id: requestId, response: { approved: true } });
const { outputs } = await thread.result();
console.log(outputs);
await connection.close();
