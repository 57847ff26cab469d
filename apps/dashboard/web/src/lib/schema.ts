// What the API answers, as far as the pages read it. A test holds every name against the OpenAPI document.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Time = string;
export type State =
  | "waiting" | "active" | "completed" | "failed" | "delayed" | "blocked" | "cancelled" | "expired" | "unroutable";
export type RoleName = "viewer" | "operator" | "admin";

export interface Session {
  actor: string;
  role: RoleName | null;
  sign_in: ("token" | "oidc" | "proxy" | "host")[];
  expires_at: Time | null;
}

export interface ServerRecord {
  address: string;
  server: string;
  version: string;
  dashboard_version: string;
  trace_url: string | null;
}

export interface PauseRecord {
  scope: "job" | "key";
  name: string;
  paused_until: Time | null;
  paused_by: string;
  pause_reason: string;
}

export interface QueueRecord {
  queue: string;
  waiting: number;
  active: number;
  delayed: number;
  blocked: number;
  unroutable: number;
  completed: number;
  failed: number;
  cancelled: number;
  expired: number;
  stalled: number;
  retained_completed: number;
  retained_failed: number;
  retained_cancelled: number;
  retained_expired: number;
  paused: boolean;
  total: number;
  paused_at: Time | null;
  paused_by: string;
  pause_reason: string;
  paused_until: Time | null;
  pauses: number;
  paused_parts?: PauseRecord[];
}

export interface QueueLive extends QueueRecord {
  added: number;
  oldest_waiting_ms: number | null;
  added_per_s: number | null;
  completed_per_s: number | null;
  failed_per_s: number | null;
}

export interface WorkerRecord {
  id: string;
  host: string;
  pid: number;
  version: string;
  worker_type: string;
  queues: string[];
  jobs: string[];
  slots: number;
  running: number;
  processes: number;
  memory_bytes: number;
  cpu: number;
  lag_ms: number;
  state: string;
  silent: boolean;
  http: string;
  started_at: Time;
  seen_at: Time;
  memory_peaks: number[];
}

export interface RunningRecord {
  queue: string;
  id: string;
  name: string;
  started_at: Time | null;
  progress: number | Progress | null;
}

export interface Overview {
  at: Time;
  queues: QueueLive[];
  workers: WorkerRecord[];
}

export interface MinuteRecord {
  at: Time;
  added: number;
  completed: number;
  failed: number;
  retried: number;
  avg_processing_ms: number | null;
  avg_wait_ms: number | null;
}

export interface MetricsRecord {
  queue: string | null;
  total_added: number;
  total_processed: number;
  total_failed: number;
  total_retried: number;
  total_stalled: number;
  success_rate: number | null;
  avg_processing_ms: number | null;
  avg_wait_ms: number | null;
  run_p50_ms: number | null;
  run_p95_ms: number | null;
  run_p99_ms: number | null;
  wait_p50_ms: number | null;
  wait_p95_ms: number | null;
  wait_p99_ms: number | null;
  current_concurrency: number;
  peak_concurrency: number;
  oldest_waiting_ms: number | null;
  errors: Record<string, number>;
}

export interface ErrorGroup {
  error: string;
  count: number;
  first_at: Time;
  last_at: Time;
  trend: number[];
  queues: string[];
  names: string[];
  last_queue: string;
  last_id: string;
}

export interface ErrorGroups {
  groups: ErrorGroup[];
  since: Time;
  looked_at: number;
  complete: boolean;
}

export interface Preview {
  count: number;
  exact: boolean;
}

export interface BulkAction {
  id: string;
  verb: string;
  queue: string;
  query: string;
  detail: string;
  state: "pending" | "running" | "completed" | "undone" | "cancelled" | "failed" | "interrupted";
  done: number;
  total: number | null;
  actor: string;
  reason: string;
  started_at: Time;
  starts_at: Time | null;
  starts_in_ms: number | null;
  seen_at: Time;
  ended_at: Time | null;
  cancelled_by: string;
  error: string;
}

/** What was not told is left out. */
export interface Progress {
  percent?: number | null;
  current?: number | null;
  total?: number | null;
  message?: string | null;
}

export interface JobRecord {
  id: string;
  queue: string;
  name: string;
  payload: Json;
  state: State;
  priority: string;
  progress: number | Progress | null;
  attempts_made: number;
  attempts: number;
  stalled: number;
  releases: number;
  created_at: Time;
  run_at: Time | null;
  processed_at: Time | null;
  finished_at: Time | null;
  wait_ms: number | null;
  run_ms: number | null;
  result: Json;
  failed_reason: string | null;
  metadata: Record<string, Json>;
  tags: string[];
  schedule: string | null;
  scheduled_for: Time | null;
  trace_id: string | null;
  flow: { chain: string | null; position: number | null; length: number | null } | null;
}

export interface AttemptRecord {
  attempt: number;
  started_at: Time;
  wait_ms: number;
  run_ms: number;
  worker: string;
  error_type: string;
  error: string;
  stack: string;
}

export interface JobDetail extends JobRecord {
  history: AttemptRecord[];
}

export interface Page {
  jobs: JobRecord[];
  cursor: string | null;
}

export interface LogRecord {
  attempt: number;
  at: Time;
  level: string;
  logger: string;
  message: string;
  cursor: string;
}

export interface JobLogs {
  lines: LogRecord[];
  truncated: boolean;
  cursor: string | null;
}

export interface Finding {
  code: string;
  severity: "error" | "warning" | "info" | "ok";
  text: string;
  mend: string;
}

export interface HistoryRecord {
  id: string;
  queue: string;
  name: string;
  outcome: State;
  created_at: Time;
  processed_at: Time | null;
  finished_at: Time;
  wait_ms: number;
  run_ms: number;
  attempts_made: number;
  worker: string;
  error: string;
}

export interface HistoryPage {
  rows: HistoryRecord[];
  cursor: string | null;
}

export interface RateRecord {
  max: number;
  per_ms: number;
  burst: number;
}

export interface LimitRecord {
  limit: "max_active" | "rate_limit" | "key_concurrency" | "key_rate";
  declared: number | RateRecord | null;
  live: number | RateRecord | null;
  lifted: boolean;
}

export interface JobTypeSchema {
  queue: string;
  name: string;
  version: number;
  payload: Json;
  result: Json;
}

export interface DeclaredJob {
  name: string;
  version: number;
  result: boolean;
  redacts: boolean;
}

export interface Declared {
  queue: string;
  profile: string;
  concurrency: number;
  jobs: DeclaredJob[];
}

export interface ScheduleRecord {
  id: string;
  queue: string;
  name: string;
  payload: Json;
  state: "active" | "paused" | "ended";
  cron: string | null;
  timezone: string;
  every_ms: number | null;
  at: Time[];
  after_completion_ms: number | null;
  explained: string;
  next_at: Time | null;
  next_run_at: Time | null;
  last_at: Time | null;
  last_job: string | null;
  fired: number;
  late: number;
  skipped: number;
  missed: number;
  overlapped: number;
  start: Time | null;
  end: Time | null;
  limit: number | null;
  jitter_ms: number;
  overlap: string;
  misfire: string;
  misfire_max: number | null;
  catch_up_window_ms: number;
  pause_on_failure: boolean;
  from_code: boolean;
  priority: string;
  paused_at: Time | null;
  paused_by: string;
  note: string;
}

export interface SchedulePage {
  schedules: ScheduleRecord[];
  total: number;
}

export interface NextTimes {
  times: Time[];
}

export interface AuditRecord {
  id: string;
  at: Time | null;
  actor: string;
  verb: string;
  queue: string;
  filter: string;
  count: number;
  detail: string;
  reason: string;
}

export interface AuditPage {
  changes: AuditRecord[];
  cursor: string | null;
}

export interface LetterCount {
  queue: string;
  name: string;
  group: string;
  count: number;
}

export interface Letter {
  id: string;
  state: State;
  queue: string;
  job: string;
  name: string;
  version: string;
  payload: Json;
  payload_known: boolean;
  reason: string;
  group: string;
  failed_at: Time;
  attempts: AttemptRecord[];
}

export interface LetterPage {
  letters: Letter[];
  cursor: string | null;
}

export interface WorkerStack {
  pid: number;
  stack: string;
}

export interface ScaleRecord {
  queue: string;
  number: number;
}

export interface FlowRecord {
  id: string;
  queue: string;
  name: string;
  kind: string;
  state: string;
  total: number;
  pending: number;
  completed: number;
  failed: number;
  created_at: Time;
  ended_at: Time | null;
}

export interface FlowPage {
  flows: FlowRecord[];
  cursor: string | null;
}

export interface Waited {
  number: number;
  label: string;
  mode: string;
}

export interface FlowJobRecord {
  number: number;
  label: string;
  queue: string;
  id: string;
  name: string;
  state: string;
  after: Waited[];
  after_total: number;
  error: string | null;
}

export interface FlowJobsPage {
  flow: FlowRecord;
  jobs: FlowJobRecord[];
  next: number | null;
}

export interface Stats extends Overview {
  full: boolean;
  gone_queues: string[];
  gone_workers: string[];
}

export interface AlertRecord {
  queue: string;
  alert: string;
  active: boolean;
  since: Time | null;
  value: number | null;
  threshold: number | null;
  default: number;
  message: string;
}
