/** Where a webhook is called, and how it is told in messages: paths and queries often are secrets. */
export type WebhookAddress = Readonly<{
  url: string;
  origin: string;
  /** From user and password in the address, which no request may carry there. */
  authorization?: string;
}>;

/** What is wrong with it comes back as text, which says nothing of the address. */
export function parseWebhookUrl(text: string): WebhookAddress | string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol))
    return 'expected an address such as https://example.com/hook';
  const { origin, username, password } = url;
  if (username === '' && password === '') return { url: url.href, origin };
  url.username = '';
  url.password = '';
  const login = [username, password].map((part) => decodeURIComponent(part)).join(':');
  const authorization = `Basic ${Buffer.from(login).toString('base64')}`;
  return { url: url.href, origin, authorization };
}
