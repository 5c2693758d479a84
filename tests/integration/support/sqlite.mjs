// Changes a stopped hub's database from outside, as an operator would: with the sqlite3 program.
import { execFileSync } from 'node:child_process';

export const Sqlite = {
  /** @param {string} file @param {string} sql @returns {string} */
  run: (file, sql) => execFileSync('sqlite3', [file, sql], { encoding: 'utf8' }),
};
