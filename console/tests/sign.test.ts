import { describe, expect, it } from 'vitest';
import { addressText, endpointOf, splitAddress } from '../src/lib/endpoint';
import { connectParameters, curlCommand, hmacSha256, mosquittoCommand, shellQuote } from '../src/lib/sign';

// The expected password is a published test vector of the device protocol, computed with OpenSSL.
const device = { productKey: 'a1EXAMPLE01', deviceName: 'dev001', deviceSecret: '0123456789abcdef0123456789abcdef' };

describe('device signature', () => {
  it('agrees with RFC 4231 case 2', async () => expect(await hmacSha256('Jefe', 'what do ya want for nothing?')).toBe('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'));
  it('signs client id, device name, product key and timestamp in this order', async () => {
    const connect = await connectParameters(device, false, '1700000000000', '12345');
    expect(connect?.password).toBe('8b57119e0868360a84d14e10f8ec46619e33c26e3f72dd29dc7af2b30209346c');
    expect(connect?.clientId).toBe('12345|securemode=3,signmethod=hmacsha256,timestamp=1700000000000|');
    expect(connect?.username).toBe('dev001&a1EXAMPLE01');
    expect((await connectParameters(device, true))?.clientId).toContain('securemode=2');
  });
  it('makes a command whose every part is quoted', async () => {
    const connect = await connectParameters(device, false);
    const command = mosquittoCommand(device, connect!, { host: '127.0.0.1', port: 1883, secure: false }, { note: "it's" });
    expect(command).toContain(`-u 'dev001&a1EXAMPLE01'`);
    expect(command).toContain(`it'\\''s`);
    expect(command).not.toContain('--cafile');
  });
});

describe('shell and curl', () => {
  it('quotes quotes', () => expect(shellQuote("a'b")).toBe(`'a'\\''b'`));
  it('never puts a secret into the command', () => expect(curlCommand('http://h', 'POST', '/x', { a: 1 })).toContain('$BRIM_TOKEN'));
});

describe('endpoint', () => {
  it('reads addresses', () => {
    expect(splitAddress('tcp:127.0.0.1:1883')).toEqual({ host: '127.0.0.1', port: 1883 });
    expect(splitAddress('[::1]:8883')).toEqual({ host: '::1', port: 8883 });
    expect(splitAddress('unix:/run/x')).toBeUndefined();
    expect(addressText('tcp:1.2.3.4:5')).toBe('1.2.3.4:5');
  });
  it('prefers TLS and takes the page host for a listener on all addresses', () => {
    const listeners = [{ protocol: 'mqtt', address: 'tcp:127.0.0.1:1883', security: 'plain' }, { protocol: 'mqtts', address: 'tcp:0.0.0.0:8883', security: 'tls' }, { protocol: 'http', address: '127.0.0.1:8080', security: 'plain' }];
    expect(endpointOf(listeners, 'hub.plant')).toEqual({ host: 'hub.plant', port: 8883, secure: true });
    expect(endpointOf(listeners.slice(0, 1), 'hub.plant')).toEqual({ host: '127.0.0.1', port: 1883, secure: false });
    expect(endpointOf([listeners[2]!], 'hub.plant')).toBeUndefined();
  });
});
