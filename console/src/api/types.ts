// Shapes of the native API (src/hub/openapi.json is the source; tests/contract.test.ts holds the two together).

export type Role = 'viewer' | 'operator' | 'admin';
export type DeviceStatus = 'unactivated' | 'online' | 'offline' | 'disabled';
export type NodeType = 'device' | 'gateway';
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface Problem {
  type: string;
  title: string;
  status: number;
  code: string;
  detail?: string;
  instance?: string;
  object?: string;
  cause?: string;
  fix?: string;
  errors?: { pointer?: string; detail?: string }[];
}

export interface Page<T> {
  items: T[];
  next: string | null;
  total?: number;
}

export interface DeviceRef {
  productKey: string;
  deviceName: string;
}

export interface Product {
  productKey: string;
  name: string;
  nodeType: NodeType;
  description?: string;
  createdAt: string;
  deviceCount?: number;
  propertyCount?: number;
}

export interface ProductCreate {
  name: string;
  nodeType?: NodeType;
  description?: string;
  productKey?: string;
  model?: object;
}

export interface CurrentValue {
  value: Json;
  time: string;
}

export interface Device extends DeviceRef {
  nickname?: string;
  productName?: string;
  nodeType?: NodeType;
  status: DeviceStatus;
  statusSince: string;
  statusReason?: string;
  epoch?: number;
  lastSeen?: string | null;
  createdAt: string;
  address?: string;
  gateway?: DeviceRef | null;
  properties?: Record<string, CurrentValue>;
}

export interface DeviceSession {
  online: boolean;
  protocol: '3.1' | '3.1.1' | '5';
  address?: string;
  proxy?: string;
  tls?: boolean;
  keepAliveSeconds?: number;
  connectedAt?: string;
  slow?: boolean;
  kept: boolean;
  will: boolean;
  expirySeconds: number | null;
  expiresAt?: string;
  queued: number;
  queuedBytes: number;
  inflightOut: number;
  inflightIn: number;
  subscriptionCount: number;
  subscriptions: { filter: string; qos: number }[];
}

export interface Connection {
  online: boolean;
  gateway: DeviceRef | null;
  session: DeviceSession | null;
}

export interface DeviceCreate {
  productKey: string;
  deviceName?: string;
  nickname?: string;
  deviceSecret?: string;
}

export interface DeviceCredentials extends DeviceRef {
  deviceSecret: string;
}

export interface Desired {
  value: Json;
  version: number;
  time?: string;
  state: 'pending' | 'confirmed' | 'failed';
  message?: string;
}

export interface PropertyState {
  identifier: string;
  name?: string;
  type: string;
  unit?: string;
  writable: boolean;
  value?: Json;
  time?: string | null;
  desired?: Desired | null;
}

export interface PropertySetResult {
  delivered: boolean;
  properties: PropertyState[];
}

export interface HistoryPoint {
  time: number;
  value: Json;
  received: number;
  replayed?: boolean;
}

export interface HistoryBucket {
  time: number;
  min: number;
  max: number;
  avg: number;
  count: number;
  replayed?: boolean;
}

export interface History {
  property: string;
  points?: HistoryPoint[];
  buckets?: HistoryBucket[];
  next?: string | null;
}

export interface ServiceResult {
  code: number;
  output: Record<string, Json>;
  message?: string;
}

export interface DeviceEvent {
  identifier: string;
  time: number;
  output: Record<string, Json>;
}

export interface User {
  name: string;
  role: Role;
  createdAt?: string;
}

export interface Token {
  id: string;
  name: string;
  role: Role;
  user?: string;
  createdAt?: string;
  expiresAt?: string | null;
  lastUsed?: string | null;
}

export interface Session {
  user: string;
  role: Role;
}

export interface Listener {
  protocol: string;
  address: string;
  security: string;
}

export interface System {
  version: string;
  startedAt: string;
  time?: string;
  listeners: Listener[];
  devices?: { total?: number; online?: number };
  gateways?: { total?: number; online?: number };
  messages?: { received?: number; stored?: number; rejected?: number; duplicates?: number };
  store?: { logBytes?: number; historyPoints?: number; syncMsP50?: number; freeBytes?: number };
  memoryBytes?: number;
}

// Events of GET /api/v1/events.
export interface StatusEvent extends DeviceRef {
  status: DeviceStatus;
  since: string;
  epoch?: number;
  reason?: string;
}
export interface PropertyEvent extends DeviceRef {
  time: number;
  received: number;
  replayed?: boolean;
  values: Record<string, Json>;
}
export interface SetEvent extends DeviceRef {
  identifier: string;
  desired: Desired | null;
}
export interface ThingEvent extends DeviceRef, DeviceEvent {}
export interface MessageEventData extends DeviceRef {
  direction: 'up' | 'down';
  topic: string;
  qos: number;
  bytes: number;
  payload: string;
  time: number;
  result?: string;
}
export interface StreamEvents {
  status: StatusEvent;
  property: PropertyEvent;
  set: SetEvent;
  event: ThingEvent;
  message: MessageEventData;
  dropped: { count: number };
}
