/** The console's page for who is signed out. */

import { showSignIn } from './sign_in.js';

showSignIn('', () => location.reload());
