/** The states of the USA and the District of Columbia, each with the first digits of a zip code. */
export const STATES: readonly (readonly [code: string, zip: string])[] = (
  'AL 352,AK 995,AZ 850,AR 722,CA 900,CO 802,CT 061,DE 198,DC 200,FL 331,GA 303,HI 968,ID 837,' +
  'IL 606,IN 462,IA 503,KS 672,KY 402,LA 701,ME 041,MD 212,MA 021,MI 482,MN 554,MS 392,MO 631,' +
  'MT 591,NE 681,NV 891,NH 031,NJ 071,NM 871,NY 100,NC 282,ND 581,OH 432,OK 731,OR 972,PA 191,' +
  'RI 029,SC 292,SD 571,TN 372,TX 770,UT 841,VT 054,VA 232,WA 981,WV 253,WI 532,WY 820'
)
  .split(',')
  .map((entry) => [entry.slice(0, 2), entry.slice(3)] as const);
