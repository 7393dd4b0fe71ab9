// Runs the contract of each storage interface over all of its implementations.
import './consent-reader.contract.js';
import './ephemeral-store.contract.js';
import './grant-store.contract.js';
import './refresh-token-store.contract.js';
