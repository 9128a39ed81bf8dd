// Signing in without telling anybody the password: name and password make a key, which signs a nonce.
// Loaded only when somebody does it. docs/browser-apps.md says more about sign-ins.

import { secp256k1 } from '@noble/curves/secp256k1.js';
import { pbkdf2Async } from '@noble/hashes/pbkdf2.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { path, rest } from './http';

const DOMAIN: Field[] = [
  ['string', 'name', 'Sogni AI'],
  ['string', 'version', '1'],
  ['uint256', 'chainId', 8453],
  ['address', 'verifyingContract', '0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC']
];

type Field = [type: 'string' | 'address' | 'uint256', name: string, value: string | number];

function word(bytes: Uint8Array): Uint8Array {
  const padded = new Uint8Array(32);
  padded.set(bytes, 32 - bytes.length);
  return padded;
}

function encoded([type, , value]: Field): Uint8Array {
  if (type === 'string') return keccak_256(utf8ToBytes(String(value)));
  if (type === 'address') return word(hexToBytes(String(value).slice(2)));
  const hex = BigInt(value).toString(16);
  return word(hexToBytes(hex.padStart(hex.length + (hex.length % 2), '0')));
}

/** EIP-712: the hash of one struct. */
function hashStruct(name: string, fields: Field[]): Uint8Array {
  const type = `${name}(${fields.map(([kind, field]) => `${kind} ${field}`).join(',')})`;
  return keccak_256(concatBytes(keccak_256(utf8ToBytes(type)), ...fields.map(encoded)));
}

class Wallet {
  private constructor(private readonly key: Uint8Array) {}

  static async of(username: string, password: string): Promise<Wallet> {
    const secret = username.toLowerCase() + password;
    return new Wallet(await pbkdf2Async(sha256, secret, 'sogni-salt-value', { c: 10_000, dkLen: 32 }));
  }

  /** With the mixed case of EIP-55, which guards against typing errors. */
  get address(): string {
    const hex = bytesToHex(keccak_256(secp256k1.getPublicKey(this.key, false).slice(1)).slice(12));
    const sum = bytesToHex(keccak_256(utf8ToBytes(hex)));
    return '0x' + [...hex].map((letter, at) => (parseInt(sum[at]!, 16) > 7 ? letter.toUpperCase() : letter)).join('');
  }

  sign(name: string, fields: Field[]): string {
    const domain = hashStruct('EIP712Domain', DOMAIN);
    const digest = keccak_256(concatBytes(new Uint8Array([0x19, 0x01]), domain, hashStruct(name, fields)));
    const [recovery, ...rest] = secp256k1.sign(digest, this.key, { prehash: false, format: 'recovered' });
    return '0x' + bytesToHex(new Uint8Array(rest)) + (27 + recovery!).toString(16);
  }
}

async function nonceFor(walletAddress: string): Promise<string> {
  return (await rest<{ nonce: string }>('POST', '/v1/account/nonce', { walletAddress })).nonce;
}

export async function signIn(username: string, password: string, rememberMe: boolean): Promise<void> {
  const wallet = await Wallet.of(username, password);
  const nonce = await nonceFor(wallet.address);
  const signature = wallet.sign('Authentication', [
    ['address', 'walletAddress', wallet.address],
    ['string', 'nonce', nonce]
  ]);
  await rest('POST', '/v1/account/login', { walletAddress: wallet.address, signature, rememberMe });
}

export async function signUp(username: string, password: string, email: string): Promise<void> {
  const wallet = await Wallet.of(username, password);
  const nonce = await nonceFor(wallet.address);
  const appid = 'studio';
  const signature = wallet.sign('Signup', [
    ['string', 'appid', appid],
    ['string', 'username', username],
    ['string', 'email', email],
    ['uint256', 'subscribe', 0],
    ['address', 'walletAddress', wallet.address],
    ['string', 'nonce', nonce]
  ]);
  const wish = { appid, username, email, subscribe: 0, walletAddress: wallet.address, signature, rememberMe: true };
  await rest('POST', path`/v1/account/create`, wish);
}
