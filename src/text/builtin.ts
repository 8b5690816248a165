export const builtinText = 'Once upon a time '.repeat(1000);
