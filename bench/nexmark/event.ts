/*
 * The events of an online auction, as rows of the official Nexmark source: all three kinds in one
 * stream, told apart by `event_type`. Times are milliseconds since 1970.
 */

export type Person = Readonly<{
  id: number;
  name: string;
  emailAddress: string;
  creditCard: string;
  city: string;
  state: string;
  dateTime: number;
  extra: string;
}>;

export type Auction = Readonly<{
  id: number;
  itemName: string;
  description: string;
  initialBid: number;
  reserve: number;
  dateTime: number;
  expires: number;
  seller: number;
  category: number;
  extra: string;
}>;

export type Bid = Readonly<{
  auction: number;
  bidder: number;
  price: number;
  channel: string;
  url: string;
  dateTime: number;
  extra: string;
}>;

export type PersonEvent = Readonly<{ event_type: 0; person: Person }>;
export type AuctionEvent = Readonly<{ event_type: 1; auction: Auction }>;
export type BidEvent = Readonly<{ event_type: 2; bid: Bid }>;
export type NexmarkEvent = PersonEvent | AuctionEvent | BidEvent;

export const isPerson = (event: NexmarkEvent): event is PersonEvent => event.event_type === 0;
export const isAuction = (event: NexmarkEvent): event is AuctionEvent => event.event_type === 1;
export const isBid = (event: NexmarkEvent): event is BidEvent => event.event_type === 2;

export function timeOf(event: NexmarkEvent): number {
  switch (event.event_type) {
    case 0:
      return event.person.dateTime;
    case 1:
      return event.auction.dateTime;
    case 2:
      return event.bid.dateTime;
  }
}
