// What the server says, as far as the studio reads it. /docs/api and /docs/socket tell the rest.

export type Media = 'image' | 'video' | 'audio';
export type Network = 'fast' | 'relaxed';
export type Token = 'spark' | 'sogni';

export interface Me {
  username: string;
  walletAddress: string;
  currentEmail: string;
  administrator: boolean;
}

export interface SizeRange {
  width: number;
  height: number;
  min: number;
  max: number;
  step?: number;
  maxPixels: number;
}

export interface Model {
  id: string;
  name: string;
  SID: number;
  tier: string;
  media: Media;
  inputs?: string[];
  requiredInputs?: string[];
  anyInputs?: string[];
  controlNets?: string[];
  outputFormats?: string[];
  /** It makes finer pictures of pictures. */
  enhances?: boolean;
  size?: SizeRange;
}

/** Something that bends models, as the catalogue has it. */
export interface Lora {
  loraId: string;
  name: string;
  description: string;
  modelIds: string[];
  ui: {
    min: number;
    max: number;
    default: number;
    step: number;
    category: string;
    nsfw: boolean;
    sexual: boolean;
    recommendedMin?: number;
    recommendedMax?: number;
    rangeLabels?: Record<string, string>;
  };
}

export interface LoraList {
  loras: Lora[];
  constraints: { maxPerRequest: number };
}

export interface NumberLimit {
  min: number;
  max?: number;
  default: number;
  step?: number;
  decimals?: number;
}
export interface Choice {
  allowed: (string | number)[];
  default: string | number;
}
export interface Switch {
  default: boolean;
}
export interface TextLimit {
  maxLength: number;
  required?: boolean;
}
export type Limit = NumberLimit | Choice | Switch | TextLimit;
export type Tier = Record<string, unknown>;

export interface SizePreset {
  label: string;
  id: string;
  width: number;
  height: number;
  ratio: string;
}

export interface TokenBalance {
  settled: string;
  debit: string;
  net: string;
}
export type Balances = Record<Token, TokenBalance>;

export interface WaitingReason {
  reason: string;
  message: string;
}

export interface JobRecord {
  imgID: string;
  jobIndex: number;
  worker: { name: string };
  status: string;
  reason: string | null;
  performedSteps: number;
  seedUsed: number;
  triggeredNSFWFilter: boolean;
  nsfwDetected: boolean;
  startTime: number;
  endTime: number;
  costActual: { costInToken: string };
  resultUrl: string | null;
  outputFormat: string | null;
}

export interface ProjectRecord {
  id: string;
  appId: string;
  model: { id: string; name: string; type: Media };
  imageCount: number;
  stepCount: number;
  status: 'queued' | 'processing' | 'completed' | 'failed' | 'canceled';
  finished: boolean;
  reason: string | null;
  waitingReason: WaitingReason | null;
  tokenType: Token;
  width: number;
  height: number;
  createTime: number;
  endTime: number;
  costEstimate: { quote: { project: { costInToken?: string } } };
  costActual: { costInToken: string };
  clientRequestData: string | null;
  workerJobs: JobRecord[];
  completedWorkerJobs: JobRecord[];
}

export interface ProjectPage {
  projects: ProjectRecord[];
  next: string | null;
  mediaKeptS: number;
}

/** What steers a result beside its words: a way to do it, and how strongly, 0 to 1. */
export interface Steer {
  name: string;
  hasImage?: boolean;
  controlStrength?: number;
}

/** The one element of `keyFrames` of a request: everything about the result itself. */
export interface KeyFrame {
  modelID: string;
  positivePrompt: string;
  negativePrompt?: string;
  stylePrompt?: string;
  seed?: number;
  width?: number;
  height?: number;
  sizePreset?: string;
  loras?: string[];
  loraStrengths?: number[];
  currentControlNetsJob?: Steer[];
  keyframeFrameIndices?: number[];
  [setting: string]: unknown;
}

export interface JobRequest {
  jobID: string;
  keyFrames: [KeyFrame];
  numberOfImages: number;
  previews?: number;
  tokenType?: Token;
  network?: Network;
  outputFormat?: string;
  disableSafety?: boolean;
  appSource?: string;
}

export interface Transaction {
  id: string;
  createTime: number;
  amount: number;
  tokenType: Token;
  type: 'credit' | 'debit';
  source: 'project' | 'grant' | 'refund' | 'earning';
  sourceSID: string;
  description: string;
}

export type Scope = 'all' | 'render' | 'work' | 'read';
export interface KeyInfo {
  id: string;
  name: string;
  prefix: string;
  createTime: number;
  scope: Scope;
  key?: string;
  maxPerDay?: string;
  maxTotal?: string;
}
