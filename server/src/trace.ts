/**
 * Spans for whoever has set up an OpenTelemetry SDK in this process. Without one this costs
 * nothing that counts: nobody is told anything, and no attributes are made.
 */
import { type Attributes, context, type Span, SpanStatusCode, trace } from '@opentelemetry/api';

/** Finds the SDK also when that is set up later. */
const tracer = trace.getTracer('cowrite');

/**
 * @param name one of a few: what differs is for the attributes
 * @param attributes made only for a span that somebody keeps
 * @throws whatever the work throws, which the span bears then
 */
export async function traced<T>(
  name: string,
  attributes: () => Attributes,
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const span = tracer.startSpan(name);
  if (!span.isRecording()) return await work(span);
  span.setAttributes(attributes());
  try {
    return await context.with(trace.setSpan(context.active(), span), () => work(span));
  } catch (error) {
    span.recordException(error instanceof Error ? error : String(error));
    span.setStatus({ code: SpanStatusCode.ERROR });
    throw error;
  } finally {
    span.end();
  }
}
