/*! @nodkey/web 0.1.0 | SPDX-License-Identifier: Apache-2.0 */
var L=class extends Error{constructor(t,n,o,{fieldErrors:r={},headers:s=new Headers,cause:i}={}){super(o,{cause:i}),this.name="Problem",this.status=t,this.error=n,this.fieldErrors=r,this.headers=s,this.mayBeDone=!1}get retryAfter(){return 1e3*(Number(this.headers.get("retry-after"))||0)}get sentence(){let t=this.message.charAt(0).toUpperCase()+this.message.slice(1);return/[.!?]$/.test(t)?t:`${t}.`}get isPassing(){return[0,429,502,503,504].includes(this.status)}};async function J(e,t,n=globalThis.fetch){let o=await n(e,t).catch(r=>{throw t?.signal?.throwIfAborted(),et(r)});if(o.ok)return o;throw await St(o)}async function q(e){if(e.status===204)return null;try{return await e.json()}catch(t){throw t instanceof SyntaxError?tt(e):et(t)}}async function St(e){let t=await e.json().catch(()=>null);if(typeof t?.error!="string")return tt(e);let n=t.message||t.description||t.error;return new L(e.status,t.error,n,{fieldErrors:t.field_errors,headers:e.headers})}function tt({status:e,headers:t}){return new L(e,"UNEXPECTED",`The server sent an unexpected response (HTTP ${e}).`,{headers:t})}function et(e){return new L(0,"UNREACHABLE","The server cannot be reached.",{cause:e})}var U=class e{#e;#t;constructor(t){this.milliseconds=t,this.#e=Date.now()+t,this.#t=performance.now()+t}static until(t,n){let o=Date.parse(n??"")+1e3||Date.now();return new e(Math.min(Math.max(t-o||0,1e4),6e4))}get left(){return Math.min(this.#e-Date.now(),this.#t-performance.now())}};var Ct={OFFLINE:"the browser is offline",UNREACHABLE:"the gateway cannot be reached",BLOCKED_BY_CSP:"the page's Content-Security-Policy blocks calls to the gateway: add its origin to connect-src",BLOCKED_BY_CORS:"the gateway answers without CORS headers: something in front of it removes them, or answers in its place",INVALID_CONFIGURATION:"the element is not configured"},E=class e extends Error{constructor(t,n,{isPassing:o=!1,status:r=0,retryAfter:s=0,cause:i}={}){super(n,{cause:i}),this.name="CodeError",this.code=t,this.isPassing=o,this.status=r,this.retryAfter=s}static found(t,{message:n=Ct[t],...o}={}){return new e(t,n,o)}},B=class{#e=!1;constructor(t,n){let o=r=>{r.disposition==="enforce"&&r.effectiveDirective==="connect-src"&&URL.parse(r.blockedURI)?.origin===t&&(this.#e=!0)};document.addEventListener("securitypolicyviolation",o,{signal:n})}async blocks(){return this.#e||await new Promise(t=>setTimeout(t)),this.#e}};async function nt(e,t,n){if(e instanceof E)return e;if(e instanceof L&&e.status!==0){let{error:r,message:s,isPassing:i,status:a,retryAfter:f}=e;return new E(r,s,{isPassing:i,status:a,retryAfter:f,cause:e})}if(await t.blocks())return E.found("BLOCKED_BY_CSP",{cause:e});if(!navigator.onLine)return E.found("OFFLINE",{isPassing:!0,cause:e});let o=await n()?"BLOCKED_BY_CORS":"UNREACHABLE";return E.found(o,{isPassing:!0,cause:e})}var ot=15e3,Tt=7e4,N=class{#e;#t;#i;constructor(t,n,o){this.#e=t,this.#t=n,this.#i=new B(new URL(t).origin,o)}async create(t){let n=JSON.stringify({relying_party_id:this.#t}),o=await this.#n("/api/v2/trucodes",{method:"POST",body:n},ot,t),{id:r,payload:s,match_number:i}=await q(o);return{id:r,payload:s,matchNumber:i,lifetime:U.until(Lt(s),o.headers.get("date"))}}async paired(t,n){return(await q(await this.#n(`/api/v2/trucodes/${t}`,{},Tt,n))).paired}explain(t){return nt(t,this.#i,()=>this.#o())}#n(t,n,o,r){let s=n.body?{accept:"application/json","content-type":"application/json"}:{accept:"application/json"};return J(this.#e+t,{...n,headers:s,credentials:"omit",cache:"no-store",signal:AbortSignal.any([r,AbortSignal.timeout(o)])})}async#o(){let t={mode:"no-cors",credentials:"omit",cache:"no-store"};return fetch(`${this.#e}/sdk/nodkey-code.json`,{...t,signal:AbortSignal.timeout(ot)}).then(({type:o})=>o==="opaque",()=>!1)}};function Lt(e){try{let t=e.split(".")[1].replaceAll("-","+").replaceAll("_","/");return JSON.parse(atob(t)).exp}catch(t){throw new E("UNEXPECTED","the gateway sent a code that is none",{cause:t})}}function G(e,t,n=0){return I(Math.max(n,Math.min(15e3,500*2**e)*(.5+Math.random())),t)}function I(e,t){return new Promise((n,o)=>{let r=()=>{clearTimeout(s),o(t.reason)};t.throwIfAborted();let s=setTimeout(()=>{t.removeEventListener("abort",r),n()},e);t.addEventListener("abort",r,{once:!0})})}function rt(e){return new Promise((t,n)=>{let o=()=>{document.hidden&&!e.aborted||(document.removeEventListener("visibilitychange",o),e.removeEventListener("abort",o),e.aborted?n(e.reason):t())};document.addEventListener("visibilitychange",o),e.addEventListener("abort",o),o()})}var Ot=1e4,_t=5e3,Pt=3e3;async function it(e,t,n){let o=new AbortController,r=AbortSignal.any([t,o.signal]),s=(i,a)=>Rt(e,i,r,a,n.trouble);try{return await new Promise((i,a)=>{let f=async c=>{await $t(e,c,r,s)&&i(c)};(async()=>{for(;;){await rt(r);let c=await s(h=>e.create(h),!1);n.code(c);let u=f(c);u.catch(a);let d=Promise.race([I(c.lifetime.left-Ot,r),u]);await Promise.all([d,I(_t,r)])}})().catch(a)})}finally{o.abort()}}async function $t(e,t,n,o){for(let r=0;;r+=1){let s=await o(i=>e.paired(t.id,i),!0).catch(i=>{if(i.status===404)return null;throw i});if(s||s===null||t.lifetime.left<=0)return s;await G(r,n)}}async function Rt(e,t,n,o,r){let s=o?1:0;for(let i=0;;i+=1){let a=o&&i>s?setTimeout(r,Pt,null):void 0;try{let f=await t(n).finally(()=>clearTimeout(a));return i>s&&r(null),f}catch(f){n.throwIfAborted();let l=await e.explain(f);if(n.throwIfAborted(),!l.isPassing)throw l;i>=s&&r(l),await Ut(i,n,l.retryAfter)}}}async function Ut(e,t,n){let o=new AbortController,r=()=>o.abort();addEventListener("online",r,{once:!0,signal:t});try{await G(e,AbortSignal.any([t,o.signal]),n)}catch(s){if(!o.signal.aborted)throw s}finally{removeEventListener("online",r)}}var Bt=/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;function st(e){return/^(https?:.+)\/sdk\/nodkey-code\/[^/]+\.js$/.exec(e.split(/[?#]/)[0])?.[1]}function at({gateway:e,relyingParty:t},n,o){let r=e??n;if(!r)throw F("gateway is missing: set it to the URL of your Nodkey gateway");let s=URL.parse(r,o);if(!s||!/^https?:$/.test(s.protocol))throw F(`gateway is not the URL of a gateway: ${r}`);if(!t||!Bt.test(t))throw F(`relying-party is not the id of a relying party: ${t??"missing"}`);return{gateway:(s.origin+s.pathname).replace(/\/+$/,""),relyingParty:t}}function F(e){return E.found("INVALID_CONFIGURATION",{message:e})}function ct(){let e=new CSSStyleSheet;return e.replaceSync(Nt),e}var Nt=`
:host {
  display: inline-grid;
  gap: 0.75rem;
  justify-items: center;
  box-sizing: border-box;
  inline-size: var(--nodkey-code-size, 16rem);
  max-inline-size: 100%;
  color: inherit;
  text-align: center;
}

:host([hidden]),
[hidden] {
  display: none !important;
}

p {
  margin: 0;
}

[part='box'] {
  position: relative;
  display: grid;
  place-items: center;
  box-sizing: border-box;
  inline-size: 100%;
  aspect-ratio: 1;
  border: 1px solid var(--nodkey-code-border, color-mix(in srgb, currentColor 25%, transparent));
  border-radius: var(--nodkey-code-radius, 12px);
  overflow: hidden;
}

[part='code'] {
  all: unset;
  display: block;
  inline-size: 100%;
  block-size: 100%;
  background: #fff;
}

button[part='code'] {
  cursor: pointer;
}

svg {
  display: block;
  inline-size: 100%;
  forced-color-adjust: none;
}

[part='remaining'] {
  position: absolute;
  inset: auto 0 0;
  block-size: 3px;
  background: var(--nodkey-code-accent, #00606f);
  transform-origin: 0 0;
  animation: run-out var(--lifetime) var(--delay) linear forwards;
}

@keyframes run-out {
  to {
    transform: scaleX(0);
  }
}

.loading {
  animation: breathe 1.6s ease-in-out infinite alternate;
}

@keyframes breathe {
  to {
    background: color-mix(in srgb, currentColor 8%, transparent);
  }
}

.sign {
  inline-size: 3rem;
  fill: none;
  stroke: currentColor;
  stroke-width: 1.5;
  stroke-linecap: round;
  stroke-linejoin: round;
  forced-color-adjust: auto;
}

[part='failure'] {
  display: grid;
  gap: 1rem;
  justify-items: center;
  padding: 1rem;
}

[part='digits'] strong {
  font-size: 1.5em;
  font-variant-numeric: tabular-nums;
  letter-spacing: 0.1em;
}

[part='retry'],
[part='link'] {
  display: inline-grid;
  place-items: center;
  box-sizing: border-box;
  min-block-size: 44px;
  padding: 0.5rem 1rem;
  border: 1px solid;
  border-radius: calc(var(--nodkey-code-radius, 12px) * 0.66);
  background: none;
  color: inherit;
  font: inherit;
  font-weight: 600;
  cursor: pointer;
}

[part='link'] {
  display: none;
  inline-size: 100%;
  border-color: transparent;
  background: var(--nodkey-code-accent, #00606f);
  color: var(--nodkey-code-on-accent, #fff);
  text-decoration: none;
}

:focus-visible,
button[part='code']:focus-visible {
  outline: 3px solid var(--nodkey-code-accent, Highlight);
  outline-offset: 2px;
}

/* The outline of what fills the box is inside of it. */
button[part='code']:focus-visible {
  outline-offset: -4px;
}

.unseen {
  position: absolute;
  inline-size: 1px;
  block-size: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}

/* A screen that may be the phone itself. */
@media (width <= 600px), (hover: none) and (pointer: coarse) {
  [part='link'] {
    display: inline-grid;
  }
}

@media (prefers-reduced-motion: reduce) {
  [part='remaining'] {
    display: none;
  }

  .loading {
    animation: none;
  }
}

@media (forced-colors: active) {
  [part='remaining'] {
    background: Highlight;
    forced-color-adjust: none;
  }

  [part='link'] {
    border-color: LinkText;
  }
}
`;var lt={label:"QR code: scan it with your phone",loading:"Getting a code…",ready:"Scan the code with your phone.",digits:"Your phone asks for",link:"Open on this phone",paired:"Scanned. Continue on your phone.",retry:"Try again",RETRYING:"The code cannot be fetched right now. Trying again…",FAILED:"No code can be shown here. Try again, or continue in another way.",OFFLINE:"You are offline. A code appears once you are online again.",RATE_LIMITED:"Too many codes were requested from your network. The next one appears shortly.",TOO_MANY_WAITS:"Too many codes were requested from your network. The next one appears shortly.",OVERLOADED:"Many people are signing in right now. A code appears shortly."};var It="http://www.w3.org/2000/svg";function A(e,t,...n){let[o,...r]=e.split(".");return ft(document.createElement(o),r,t,n)}function O(e,t,...n){return ft(document.createElementNS(It,e),[],t,n)}function X(e,...t){return e.replaceChildren(...Y(t)),e}function ft(e,t,n,o){return t.length&&e.classList.add(...t),Dt(n)?Ht(e,n):o.unshift(n),e.append(...Y(o)),e}function Dt(e){return typeof e=="object"&&e!==null&&!(e instanceof Node)&&!Array.isArray(e)}function Ht(e,t){for(let[n,o]of Object.entries(t))o===!1||o===null||o===void 0||(typeof o=="function"?e.addEventListener(n.slice(2),o):n==="class"?e.classList.add(...String(o).split(" ").filter(Boolean)):n==="style"?jt(e,o):n==="value"&&"value"in e?e.value=o:e.setAttribute(n,o===!0?"":String(o)))}function jt(e,t){for(let[n,o]of Object.entries(t))e.style.setProperty(n,o)}function Y(e){return e.flatMap(t=>t==null||t===!1?[]:Array.isArray(t)?Y(t):[t instanceof Node?t:String(t)])}/*!
 * Copyright (c) 2023 Paul Miller (paulmillr.com)
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */var Zt=(()=>{let e=[];for(let t=1;t<=40;t++){let n=(16*t+128)*t+64;if(t>=2){let o=Math.floor(t/7)+2;n-=(25*o-10)*o-55,t>=7&&(n-=36)}e.push(n>>>3)}return e})(),Vt=["low","medium","quartile","high"],zt={low:[7,10,15,20,26,18,20,24,30,18,20,24,26,30,22,24,28,30,28,28,28,28,30,30,26,28,30,30,30,30,30,30,30,30,30,30,30,30,30,30],medium:[10,16,26,18,24,16,18,22,22,26,30,22,22,24,24,28,28,26,26,26,26,28,28,28,28,28,28,28,28,28,28,28,28,28,28,28,28,28,28,28],quartile:[13,22,18,26,18,24,18,22,20,24,28,26,24,20,30,24,28,28,26,30,28,30,30,30,30,28,30,30,30,30,30,30,30,30,30,30,30,30,30,30],high:[17,28,22,16,22,28,26,26,24,28,24,28,22,24,24,30,28,28,26,28,30,24,30,30,30,30,30,30,30,30,30,30,30,30,30,30,30,30,30,30]},qt={low:[1,1,1,1,1,2,2,2,2,4,4,4,4,4,6,6,6,6,7,8,8,9,9,10,12,12,12,13,14,15,16,17,18,19,19,20,21,22,24,25],medium:[1,1,1,2,2,4,4,4,5,5,5,8,9,9,10,10,11,13,14,16,17,17,18,20,21,23,25,26,28,29,31,33,35,37,38,40,43,45,47,49],quartile:[1,1,2,2,4,4,6,6,8,8,8,10,12,16,12,17,16,18,21,20,23,23,25,27,29,34,34,35,38,40,43,45,48,51,53,56,59,62,65,68],high:[1,1,2,4,4,4,5,6,8,8,11,11,16,16,18,16,19,21,25,25,25,34,30,32,35,37,40,42,45,48,51,54,57,60,63,66,70,74,77,81]},Gt={low:1,medium:0,quartile:3,high:2},j="0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";function Ft(e){if(e=gt(e),e===1)return[];let t=21+4*(e-1)-7,n=Math.ceil((t-6)/28),o=Math.floor((t-6)/n);o%2?o+=1:(t-6)%n*2>=n&&(o+=2);let r=[6];for(let s=1;s<n;s++)r.push(t-(n-s)*o);return r.push(t),r}function Xt(e,t){let n=Gt[e]<<3|t,o=n;for(let r=0;r<10;r++)o=o<<1^(o>>9)*1335;return(n<<10|o)^21522}function Yt(e){let t=e;for(let n=0;n<12;n++)t=t<<1^(t>>11)*7973;return e<<12|t}var Wt={numeric:1,alphanumeric:2,byte:4},$={numeric:[10,12,14],alphanumeric:[9,11,13],byte:[8,16,16]},K=(()=>{let e=new Uint8Array(510),t=new Uint8Array(256);for(let n=0,o=1;n<255;n++)e[n]=e[n+255]=o,t[o]=n,o<<=1,o&256&&(o^=285);return{exp:e,log:t}})();function Kt(e){let{exp:t,log:n}=K,o=new Uint8Array(e);o[e-1]=1;for(let r=0,s=1;r<e;r++){for(let i=0;i<e;i++){let a=o[i];o[i]=(a?t[n[a]+n[s]]:0)^(i+1<e?o[i+1]:0)}s=t[n[s]+1]}return o}var ht=[];function Qt(e){let t=ht[e];if(t!==void 0)return t;let n=Kt(e),{exp:o,log:r}=K,s=new Uint8Array(256*e);for(let i=1;i<256;i++){let a=r[i],f=i*e;for(let l=0;l<e;l++){let c=n[l];c&&(s[f+l]=o[r[c]+a])}}return ht[e]={gen:n,mul:s}}function Jt(e,t,n){let{exp:o,log:r}=K,s=t.length,i=new Uint8Array(s);if(n!==void 0){let a=s-1;for(let f=0;f<e.length;f++){let l=(e[f]^i[0])*s;for(let c=0;c<a;c++)i[c]=i[c+1]^n[l+c];i[a]=n[l+a]}return i}for(let a=0;a<e.length;a++){let f=e[a]^i[0];if(i.copyWithin(0,1),i[s-1]=0,f)for(let l=0;l<s;l++)t[l]&&(i[l]^=o[r[t[l]]+r[f]])}return i}function Z(e,t){let n=Zt[e-1],o=zt[t][e-1],r=qt[t][e-1],s=Math.floor(n/r)-o,i=r-n%r;return{words:o,numBlocks:r,shortBlocks:i,blockLen:s,capacity:(n-o*r)*8}}var C=e=>{throw new Error(e)};function gt(e){if(typeof e!="number")throw new TypeError(`"ver" expected number, got type=${typeof e}`);if(!Number.isSafeInteger(e))throw new RangeError(`"ver" expected safe integer, got ${e}`);if(e<1||e>40)throw new RangeError(`Invalid version=${e}. Expected number [1..40]`);return e}function te(e){let t="numeric";for(let n=0;n<e.length;n++){let o=H[e.charCodeAt(n)];if(!(o>=0))return"byte";o>9&&(t="alphanumeric")}return t}var H=(()=>{let e=new Int8Array(128).fill(-1);for(let t=0;t<j.length;t++)e[j.charCodeAt(t)]=t;return e})();function ee(e,t,n,o,r){let s=Z(e,t),i=$[o][Math.floor((e+7)/17)],a=o==="byte"?r.length:n.length;a>=1<<i&&C("Capacity overflow");let f=new Uint8Array(s.capacity>>>3),l=0,c=0,u=0,d=(g,v)=>{for(l=l<<v|g,c+=v;c>=8;)f[u++]=l>>>(c-=8)&255};if(d(Wt[o],4),d(a,i),o==="numeric")for(let g=0;g<a;g+=3){let v=Math.min(3,a-g);d(Number(n.slice(g,g+v)),[0,4,7,10][v])}else if(o==="alphanumeric"){for(let g=0;g+1<a;g+=2)d(H[n.charCodeAt(g)]*45+H[n.charCodeAt(g+1)],11);a&1&&d(H[n.charCodeAt(a-1)],6)}else for(let g=0;g<r.length;g++)d(r[g],8);let h=u*8+c;h>s.capacity&&C("Capacity overflow"),c&&(f[u]=l<<8-c&255),h+=Math.min(4,s.capacity-h),h&7&&(h+=8-(h&7));for(let g=h>>>3,v=0;g<f.length;g++,v^=1)f[g]=v?17:236;let{words:p,numBlocks:w,shortBlocks:b,blockLen:m}=s,y=Qt(p),x=[],T=[];for(let g=0,v=0;g<w;g++){let Q=m+(g<b?0:1);x.push(f.subarray(v,v+Q)),T.push(Jt(x[g],y.gen,y.mul)),v+=Q}let k=new Uint8Array(f.length+p*w),M=0;for(let g=0;g<=m;g++)for(let v of x)g<v.length&&(k[M++]=v[g]);for(let g=0;g<p;g++)for(let v of T)k[M++]=v[g];return k}function ne(e,t){let n=e%2,o=t%2,r=e%3,s=r*(t%3)%3,i=n&o,a=0;return n===o&&(a|=1),o===0&&(a|=2),r===0&&(a|=4),(e+t)%3===0&&(a|=8),(Math.floor(t/2)+Math.floor(e/3))%2===0&&(a|=16),i+s===0&&(a|=32),(i+s)%2===0&&(a|=64),((n^o)+s)%2===0&&(a|=128),a}var dt=(()=>{let e=new Uint8Array(65536);for(let t=1;t<e.length;t++)e[t]=e[t>>>1]+(t&1);return e})(),P=e=>dt[e&65535]+dt[e>>>16],oe=new Uint32Array(32);function re(e){let t=[1431655765,858993459,252645135,16711935,65535];for(let n=0;n<5;n++){let o=t[n]>>>0,r=1<<n;for(let s=0;s<32;s+=r<<1)for(let i=0;i<r;i++){let a=e[s+i]>>>0,f=e[s+i+r]>>>0,l=(a>>>r^f)&o;e[s+i]=(a^l<<r)>>>0,e[s+i+r]=(f^l)>>>0}}}var _=e=>{let t=e+31>>>5;return{size:e,words:t,v:new Uint32Array(t*e)}},wt=(e,t,n)=>e.v[n*e.words+(t>>>5)]>>>(t&31)&1,S=(e,t,n,o)=>{let r=n*e.words+(t>>>5),s=1<<(t&31);e.v[r]=o?e.v[r]|s:e.v[r]&~s};function bt(e,t){let{size:n,words:o,v:r}=e,s=oe;for(let i=0;i<n;i+=32)for(let a=0;a<o;a++){let f=Math.min(32,n-i);for(let l=0;l<f;l++)s[l]=r[(i+l)*o+a];s.fill(0,f),re(s);for(let l=0,c=a*32;l<32&&c<n;l++,c++)t.v[c*t.words+(i>>>5)]=s[l]}}function ut(e){let{size:t,words:n,v:o}=e,r=t&31?(1<<(t&31))-1>>>0:4294967295,s=0;for(let i=0;i<n;i++){let a=i===n-1?r:4294967295,f=o[3*n+i],l=4294967295,c=o[i]^o[n+i],u=o[n+i]^o[2*n+i],d=o[2*n+i]^f;for(let h=0,p=4*n+i;h<=t-5;h++,p+=n){let w=o[p],b=f^w,m=~(c|u|d|b)&a;m&&(s+=P(m>>>0)+2*P((m&l)>>>0)),l=c,c=u,u=d,d=b,f=w}}return s}function pt(e){let{size:t,words:n,v:o}=e,r=t&31?(1<<(t&31))-1>>>0:4294967295,s=0;for(let i=0;i<n;i++){let a=i===n-1?r:4294967295;for(let f=0;f<=t-11;f++){let l=f*n+i,c=o[l],u=o[l+=n],d=o[l+=n],h=o[l+=n],p=o[l+=n],w=o[l+=n],b=o[l+=n],m=o[l+=n],y=o[l+=n],x=o[l+=n],T=o[l+n],k=a&c&~u&d&h&p&~w&b&~(m|y|x|T),M=a&~(c|u|d|h)&p&~w&b&m&y&~x&T;s+=P(k>>>0)+P(M>>>0)}}return s}function ie(e,t,n=1/0){let{size:o,words:r,v:s}=e,i=ut(e)+ut(t);if(i>=n)return i;let a=(1<<o-32*(r-1)-1)-1>>>0,f=0,l=0;for(let h=0;h<o;h++)for(let p=0;p<r;p++){let w=s[h*r+p];if(l+=P(w>>>0),h===o-1)continue;let b=s[(h+1)*r+p],m=p+1<r?s[h*r+p+1]:0,y=p+1<r?s[(h+1)*r+p+1]:0,x=~(w^b),T=~(w^(w>>>1|m<<31)),k=~(b^(b>>>1|y<<31)),M=x&T&k;p===r-1&&(M&=a),f+=P(M>>>0)}let c=o*o,u=Math.ceil(Math.max(0,Math.abs(l*100-c*50)-c*5)/(c*5)),d=i+3*f+10*u;return d>=n?d:d+40*(pt(e)+pt(t))}function se(e,t,n,o){let r=e.size,s=Xt(n,o);for(let i=0;i<15;i++){let a=s>>i&1;i<6?S(e,8,i,a):i<8?S(e,8,i+1,a):i===8?S(e,7,8,a):S(e,14-i,8,a),i<8?S(e,r-1-i,8,a):S(e,8,r-15+i,a)}if(S(e,8,r-8,1),t>=7){let i=Yt(t);for(let a=0;a<18;a++){let f=i>>a&1,l=r-11+a%3,c=a/3|0;S(e,l,c,f),S(e,c,l,f)}}}var D;function ae(e){let t=21+4*(e-1),n=_(t),o=new Uint8Array(t*t),r=(c,u,d)=>{S(n,c,u,d),o[u*t+c]=1};for(let[c,u]of[[0,0],[t-7,0],[0,t-7]])for(let d=-1;d<8;d++)for(let h=-1;h<8;h++){let p=c+h,w=u+d;if(p<0||w<0||p>=t||w>=t)continue;let b=h>=0&&h<7&&d>=0&&d<7&&(h===0||h===6||d===0||d===6||h>1&&h<5&&d>1&&d<5);r(p,w,b?1:0)}let s=Ft(e);for(let c of s)for(let u of s)if(!o[c*t+u])for(let d=-2;d<=2;d++)for(let h=-2;h<=2;h++){let p=Math.max(Math.abs(h),Math.abs(d))!==1;r(u+h,c+d,p?1:0)}for(let c=0;c<t;c++)o[6*t+c]||r(c,6,c%2===0?1:0),o[c*t+6]||r(6,c,c%2===0?1:0);for(let c=0;c<9;c++)c!==6&&(r(8,c,0),r(c,8,0)),c<8&&(r(t-1-c,8,0),r(8,t-1-c,0));if(e>=7)for(let c=0;c<18;c++){let u=t-11+c%3,d=c/3|0;r(u,d,0),r(d,u,0)}let i=[];for(let c=0;c<8;c++)i.push(_(t));let a=new Uint16Array(t*t),f=0;for(let c=t-1,u=-1,d=t-1;c>0;c-=2,u=-u)for(c===6&&(c=5);;d+=u){for(let h=0;h<2;h++){let p=c-h;if(o[d*t+p])continue;let w=d*n.words+(p>>>5);a[f++]=w<<5|p&31;for(let b=0,m=ne(p,d);m;b++,m>>=1)m&1&&(i[b].v[w]|=1<<(p&31))}if(d+u<0||d+u>=t)break}let l=i.map(c=>{let u=_(t);return bt(c,u),u.v});return{ver:e,tpl:n.v,pos:a.slice(0,f),planes:i.map(c=>c.v),planesT:l,work:[_(t),_(t),_(t),_(t)]}}function ce(e,t,n,o,r=!1){(D===void 0||D.ver!==e)&&(D=ae(e));let{tpl:s,pos:i,planes:a,planesT:f,work:l}=D,[c,u,d,h]=l;c.v.set(s);let p=Math.min(8*n.length,i.length);for(let m=0;m<p;m++)if(n[m>>>3]&128>>>(m&7)){let y=i[m];c.v[y>>>5]|=1<<(y&31)}let w=o;if(w===void 0){bt(c,u);let m=1/0;for(let y=0;y<8;y++){let x=a[y],T=f[y];for(let M=0;M<d.v.length;M++)d.v[M]=c.v[M]^x[M],h.v[M]=u.v[M]^T[M];let k=ie(d,h,m);k<m&&(m=k,w=y)}}let b=a[w];for(let m=0;m<c.v.length;m++)c.v[m]^=b[m];return r||se(c,e,t,w),c}var W=(e,t)=>{if(typeof e!="number")throw new TypeError(`"${t}" expected number, got type=${typeof e}`);if(!Number.isSafeInteger(e))throw new RangeError(`"${t}" expected safe integer, got ${e}`);return e},mt=(e,t)=>{if(typeof e!="string")throw new TypeError(`"${t}" expected string, got type=${typeof e}`);return e};function le(e){let t=0;for(let n=0;n<e.length;n++){let o=e.charCodeAt(n);if(o<128)t++;else if(o<2048)t+=2;else if(o<55296||o>57343)t+=3;else if(o<=56319&&n+1<e.length){let r=e.charCodeAt(n+1);r>=56320&&r<=57343?(t+=4,n++):t+=3}else t+=3}return t}function fe(e,t){let n=$.byte[Math.floor((e+7)/17)];return Math.min((1<<n)-1,Math.floor((Z(e,t).capacity-4-n)/8))}function he(e){return e instanceof Uint8Array||ArrayBuffer.isView(e)&&e.constructor.name==="Uint8Array"&&"BYTES_PER_ELEMENT"in e&&e.BYTES_PER_ELEMENT===1}var R=(e,t,n)=>e.map[t]>=0&&e.map[n]>=0&&wt(e.m,e.map[t],e.map[n])===1,xt=[10,27],vt=String.fromCharCode(xt[0]);function de(e){let t=e.W,n=new Array(t);for(let o=0;o<t;o++){let r=new Array(t);for(let s=0;s<t;s++)r[s]=R(e,s,o);n[o]=r}return n}function ue(e){let t=e.W,n="";for(let o=0;o<t;o+=2){for(let r=0;r<t;r++){let s=R(e,r,o),i=o+1>=t?!0:R(e,r,o+1);n+=!s&&!i?"█":!s&&i?"▀":s&&!i?"▄":" "}n+=vt}return n}function pe(e){let t=e.W,n=String.fromCharCode(xt[1]),o=n+"[0m",r="";for(let s=0;s<t;s++){for(let i=0;i<t;i++)r+=R(e,i,s)?`${n}[40m  ${o}`:`${n}[1;47m  ${o}`;r+=vt}return r}function me(e,t){let n=e.W,o=`<svg viewBox="0 0 ${n} ${n}" xmlns="http://www.w3.org/2000/svg">`,r="",s;for(let i=0;i<n;i++)for(let a=0;a<n;a++){if(!R(e,a,i))continue;if(!t){o+=`<rect x="${a}" y="${i}" width="1" height="1" />`;continue}let f=`M${a} ${i}`;if(s){let l=`m${a-s.x} ${i-s.y}`;l.length<=f.length&&(f=l)}r+=`${f}h1v1${a<10?`H${a}`:"h-1"}Z`,s={x:a,y:i}}return t&&(o+=`<path d="${r}"/>`),o+"</svg>"}function yt(e){let t=e.W,n=t*t,o=126,r=Math.floor(n/o),s=n%o,i=new Uint8Array(408+r*(o+2)+2+s+4),a=0,f=h=>{i[a++]=h&255,i[a++]=h>>>8};for(let h of[71,73,70,56,55,97])i[a++]=h;f(t),f(t),i[a++]=246,a+=2,i[a++]=255,i[a++]=255,i[a++]=255,a+=381,i[a++]=44,a+=4,f(t),f(t),i[a++]=0,i[a++]=7;let{m:l,map:c}=e,u=new Uint8Array(t),d=-2;for(let h=0,p=0;h<t;h++){let w=c[h];if(w!==d&&(d=w,u.fill(0),w>=0))for(let b=0;b<t;b++)c[b]>=0&&(u[b]=wt(l,c[b],w));for(let b=0;b<t;){if(p%o===0){let y=n-p;i[a++]=(y<o?y:o)+1,i[a++]=128}let m=Math.min(o-p%o,t-b);i.set(u.subarray(b,b+m),a),a+=m,b+=m,p+=m}}return s===0&&(i[a++]=1,i[a++]=128),i[a++]=1,i[a++]=129,i[a++]=0,i[a++]=59,i}function ye(e){let t=e,n;if(typeof t.toBase64=="function")n=t.toBase64();else{let o="";for(let r=0;r<t.length;r+=8192)o+=String.fromCharCode(...t.subarray(r,r+8192));n=btoa(o)}return"data:image/gif;base64,"+n}function Mt(e,t="raw",n={}){if(mt(e,"text"),mt(t,"output"),typeof n!="object"||n===null||Array.isArray(n))throw new TypeError(`"opts" expected object, got type=${typeof n}`);let o=n.version;o!==void 0&&(o=gt(o));let r=n.ecc!==void 0?n.ecc:"medium";Vt.includes(r)||C(`invalid ecc=${r}`);let s=n.encoding!==void 0?n.encoding:te(e);if($[s]||C(`invalid encoding=${s}`),s!=="byte"){let y=s==="numeric"?j.slice(0,10):j;for(let x of e)y.includes(x)||C(`Unknown letter: "${x}". Allowed: ${y}`)}n.mask!==void 0&&(W(n.mask,"opts.mask")<0||n.mask>7)&&C(`invalid mask=${n.mask}`);let i=n.textEncoder;if(s==="byte"&&i===void 0){let y=fe(o===void 0?40:o,r);(e.length>y||le(e)>y)&&C("Capacity overflow")}let a=s==="byte"?(i!==void 0?i:y=>new TextEncoder().encode(y))(e):void 0;if(a!==void 0&&!he(a))throw new TypeError(`"opts.textEncoder" expected Uint8Array, got type=${typeof a}`);let f=s==="byte"?a.length:e.length,l=s==="numeric"?Math.floor(f/3)*10+[0,4,7][f%3]:s==="alphanumeric"?Math.floor(f/2)*11+f%2*6:f*8;if(o===void 0){for(o=1;o<=40;o++){let y=$[s][Math.floor((o+7)/17)];if(f<1<<y&&4+y+l<=Z(o,r).capacity)break}o>40&&C("Capacity overflow")}else{let y=$[s][Math.floor((o+7)/17)];(f>=1<<y||4+y+l>Z(o,r).capacity)&&C("Capacity overflow")}let c=ee(o,r,e,s,a),u=ce(o,r,c,n.mask),d=n.border===void 0?2:W(n.border,"opts.border");if(d<=0)throw new RangeError(`invalid border=${d}`);let h=n.scale===void 0?1:W(n.scale,"opts.scale");if(h<=0||h>1024)throw new RangeError(`invalid scale factor: ${h}`);let p=(u.size+2*d)*h,w=t==="ascii"||t==="gif"||t==="data-url"?4096:1024;if(p>w)throw new RangeError(`invalid opts: output is ${p}x${p} (max ${w}), reduce border/scale`);let b=new Int32Array(p);for(let y=0;y<p;y++){let x=Math.floor(y/h)-d;b[y]=x>=0&&x<u.size?x:-1}let m={m:u,W:p,map:b};return t==="raw"?de(m):t==="ascii"?ue(m):t==="term"?pe(m):t==="svg"?me(m,n.optimize===void 0?!0:n.optimize):t==="gif"?yt(m):t==="data-url"?ye(yt(m)):C(`Unknown output: ${t}`)}var ge=4;function we(e){let t=Mt(e,"raw",{ecc:"low",border:ge}),n="";return t.forEach((o,r)=>{for(let s=0;s<o.length;s+=1){let i=s;for(;o[s];)s+=1;s>i&&(n+=`M${i} ${r}h${s-i}v1H${i}z`)}}),{size:t.length,path:n}}function Et(e,t="QR code"){let{size:n,path:o}=we(e),r={class:"qr",viewBox:`0 0 ${n} ${n}`,role:"img","aria-label":t};return O("svg",{...r,"shape-rendering":"crispEdges"},O("rect",{width:"100%",height:"100%",fill:"#fff"}),O("path",{d:o,fill:"#000"}))}var be="m3 8.5 3.25 3.25L13 5",V=class{#e;#t=A("a",{part:"link",hidden:!0});#i=A("div",{part:"box",tabindex:-1});#n=A("p",{part:"digits",hidden:!0});#o=A("p",{part:"message",role:"status"});constructor(t){this.#e=t,t.append(this.#t,this.#i,this.#n,this.#o)}loading(){this.#r([A("div.loading",{part:"loading"})])}code({payload:t,lifetime:n,label:o,link:r,digits:s,press:i}){let a=Et(t,o);a.setAttribute("part","image");let f=i?A("button",{part:"code",type:"button",onclick:i},a):A("div",{part:"code"},a),{milliseconds:l,left:c}=n,u={"--lifetime":`${l}ms`,"--delay":`${c-l}ms`};this.#r([f,A("span",{part:"remaining","aria-hidden":"true",style:u})],!!r),s&&X(this.#n,s[0]," ",A("strong",s[1])),this.#n.hidden=!s,r&&(this.#t.href=r.href,this.#t.target=r.target??"",this.#t.textContent=r.text)}paired(){let t=O("svg",{class:"sign",viewBox:"0 0 16 16","aria-hidden":"true"},O("path",{d:be}));this.#r([A("div",{part:"paired"},t)])}failed(t,n,o){let r=A("button",{part:"retry",type:"button",onclick:o},n);this.#r([A("div",{part:"failure",role:"alert"},A("p",t),r)])}say(t,n){this.#o.textContent!==t&&(this.#o.textContent=t),this.#o.classList.toggle("unseen",!n)}#r(t,n=!1){let o=this.#e.activeElement;this.#n.hidden=!0,this.#t.hidden=!n;let r=this.#i.contains(o)||o===this.#t&&!n;if(X(this.#i,...t),!r)return;(this.#i.querySelector("button")??this.#i).focus({preventScroll:!0})}};var At=st(import.meta.url),xe=globalThis.HTMLElement??class{},kt=["gateway","relying-party"],z=class extends xe{static formAssociated=!0;static observedAttributes=[...kt,"label","link","link-target","pressable"];#e=this.attachInternals();#t=new V(this.attachShadow({mode:"open"}));#i={};#n="loading";#o=null;#r=null;#a=null;constructor(){if(super(),this.shadowRoot.adoptedStyleSheets=[ct()],Object.hasOwn(this,"texts")){let{texts:t}=this;Reflect.deleteProperty(this,"texts"),this.texts=t}}get state(){return this.#n}get form(){return this.#e.form}get texts(){return this.#i}set texts(t){this.#i=t,this.#f()}get gateway(){return this.getAttribute("gateway")??At??""}set gateway(t){this.setAttribute("gateway",t)}get relyingParty(){return this.getAttribute("relying-party")??""}set relyingParty(t){this.setAttribute("relying-party",t)}restart(){this.#h(),this.isConnected&&(this.#a=new AbortController,this.#p(this.#a.signal))}connectedCallback(){this.restart()}disconnectedCallback(){this.#h()}formResetCallback(){this.restart()}attributeChangedCallback(t,n,o){n===o||!this.#a||(kt.includes(t)?this.restart():this.#f())}#h(){this.#a?.abort(),this.#a=null,this.#o=null,this.#r=null,this.#e.setFormValue(null)}async#p(t){this.#c("loading"),addEventListener("pageshow",({persisted:n})=>n&&this.restart(),{signal:t});try{let n={gateway:this.getAttribute("gateway"),relyingParty:this.getAttribute("relying-party")},{gateway:o,relyingParty:r}=at(n,At,this.baseURI),s={code:a=>this.#m(a,t),trouble:a=>this.#g(a)},{id:i}=await it(new N(o,r,t),t,s);this.#w(i)}catch(n){if(t.aborted)return;this.#b(n instanceof E?n:new E("UNEXPECTED",String(n),{cause:n}))}}#m(t,n){this.#o=t,this.#r=null,this.#c("ready");let{id:o,payload:r,matchNumber:s,lifetime:i}=t;this.#l("nodkey-shown",{id:o,payload:r,matchNumber:s});let a=setTimeout(()=>this.#o===t&&this.#y(),i.left);n.addEventListener("abort",()=>clearTimeout(a),{once:!0})}#y(){this.#o=null,this.#c("loading")}#g(t){t&&t.code!==this.#r&&this.#d(t),this.#r=t?.code??null,this.#u()}#w(t){this.#o=null,this.#r=null,this.#c("paired"),this.#e.setFormValue(t),this.#l("nodkey-paired",{id:t},!0)&&this.getAttribute("name")&&this.form?.requestSubmit()}#b(t){this.#o=null,this.#r=t.code,this.#c("failed"),this.#d(t),console.warn(`<nodkey-code>: ${t.message} (${t.code})`)}#d({code:t,message:n,status:o,retryAfter:r,isPassing:s}){this.#l("nodkey-error",{code:t,message:n,status:o,retryAfter:r,retrying:s})}#c(t){let n=this.#e.states;n.delete(this.#n),n.add(t);let o=t!==this.#n;this.#n=t,this.#f(),o&&this.#l("nodkey-state",{state:t})}#f(){this.#n==="loading"?this.#t.loading():this.#o?this.#x(this.#o):this.#n==="paired"?this.#t.paired():this.#t.failed(this.#s(this.#r??"","FAILED"),this.#s("retry"),()=>this.restart()),this.#u()}#u(){this.#n==="failed"?this.#t.say("",!1):this.#r?this.#t.say(this.#s(this.#r,"RETRYING"),!0):this.#t.say(this.#s(this.#n),this.#n==="paired")}#x({payload:t,matchNumber:n,lifetime:o}){let r=this.getAttribute("link"),s=this.getAttribute("link-target"),i=()=>{this.#l("nodkey-press",{payload:t})};this.#t.code({payload:t,lifetime:o,label:this.getAttribute("label")??this.#s("label"),link:r===null?null:{text:this.#s("link"),href:r+encodeURIComponent(t),target:s},digits:n?[this.#s("digits"),n]:null,press:this.hasAttribute("pressable")?i:null})}#s(t,n=t){let o={...lt,...this.#i};return o[t]??o[n]??""}#l(t,n,o=!1){return this.dispatchEvent(new CustomEvent(t,{detail:n,bubbles:!0,composed:!0,cancelable:o}))}};globalThis.customElements&&!customElements.get("nodkey-code")&&customElements.define("nodkey-code",z);export{z as NodkeyCode};
