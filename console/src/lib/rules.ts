// The hub's rules for names, so that a form says no before the hub has to. The hub stays the judge.

export const user_pattern = /^[a-z0-9][a-z0-9._-]{0,63}$/;
export const device_name_pattern = /^[A-Za-z0-9_@.:-]{1,32}$/;
export const product_key_pattern = /^[A-Za-z0-9]{1,20}$/;
export const password_length = { min: 12, max: 256 };
